%% Stands for the library of that name, as its version 1 does it: handlers in an ETS table, called in the process
%% that makes the event, detached when they raise; spans with their times, their context, and what was raised.
%% The table belongs to whoever calls `start/0'.
-module(telemetry).

-export([start/0, attach_many/4, detach/1, list_handlers/1, execute/3, span/3]).

-define(TABLE, telemetry_handler_table).

start() ->
    ?TABLE = ets:new(?TABLE, [duplicate_bag, named_table, public, {keypos, 2}, {read_concurrency, true}]),
    ok.

attach_many(Id, Events, Function, Config) when is_function(Function, 4) ->
    case ets:match(?TABLE, {Id, '_', '_', '_'}, 1) of
        '$end_of_table' ->
            true = ets:insert(?TABLE, [{Id, Event, Function, Config} || Event <- Events]),
            ok;
        _ ->
            {error, already_exists}
    end.

detach(Id) ->
    case ets:select_delete(?TABLE, [{{Id, '_', '_', '_'}, [], [true]}]) of
        0 -> {error, not_found};
        _ -> ok
    end.

list_handlers(Prefix) ->
    [#{id => Id, event_name => Event, function => Function, config => Config}
     || {Id, Event, Function, Config} <- ets:tab2list(?TABLE), lists:prefix(Prefix, Event)].

execute(Event, Measurements, Metadata) when is_map(Measurements), is_map(Metadata) ->
    [try Function(Event, Measurements, Metadata, Config)
     catch
         Class:Reason:Stack ->
             _ = detach(Id),
             execute([telemetry, handler, failure], #{},
                     #{handler_id => Id, event_name => Event, kind => Class, reason => Reason,
                       stacktrace => Stack})
     end || {Id, _Event, Function, Config} <- ets:lookup(?TABLE, Event)],
    ok.

span(Prefix, StartMetadata, Function) ->
    StartTime = erlang:monotonic_time(),
    Context = erlang:make_ref(),
    execute(Prefix ++ [start], #{monotonic_time => StartTime, system_time => erlang:system_time()},
            in(StartMetadata, Context)),
    try Function() of
        {Result, StopMetadata} ->
            StopTime = erlang:monotonic_time(),
            execute(Prefix ++ [stop], #{duration => StopTime - StartTime, monotonic_time => StopTime},
                    in(StopMetadata, Context)),
            Result
    catch
        Class:Reason:Stack ->
            StopTime = erlang:monotonic_time(),
            execute(Prefix ++ [exception], #{duration => StopTime - StartTime, monotonic_time => StopTime},
                    in(StartMetadata#{kind => Class, reason => Reason, stacktrace => Stack}, Context)),
            erlang:raise(Class, Reason, Stack)
    end.

in(#{telemetry_span_context := _} = Metadata, _Context) -> Metadata;
in(Metadata, Context) -> Metadata#{telemetry_span_context => Context}.
