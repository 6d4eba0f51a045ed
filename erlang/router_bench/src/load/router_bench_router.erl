%% @doc The router's life around some work: started through its adapter, stopped whatever happens.
%%
%% A callback that does not return is named, with the limit that it exceeded. What it was doing cannot
%% be undone, so its process is killed, and with it what is linked to it.
%% @private
-module(router_bench_router).

-export([with/2, transport/2, counters/2, connection_counters/2, control/3]).

-export_type([reached/0]).

-type reached() :: #{transport => binary(), transport_server => binary(),
                     transport_tls_version => binary(), transport_tls_cipher => binary()}.

-define(TEXT_MAX, 200).

%% @doc Runs `Work' on a started router, in a process of its own that traps exits, and stops the
%% router.
-spec with(router_bench_plan:plan(), fun((router_bench_adapter:state()) -> Result)) ->
          Result | {error, term()} when Result :: {ok, term()} | {error, term()}.
with(#{callback_timeout_ms := LimitMs} = Plan, Work) ->
    Caller = self(),
    {Pid, Monitor} = spawn_monitor(fun() ->
        put(?MODULE, Caller),
        Caller ! {self(), ended, lifecycle(Plan, Work)}
    end),
    watch(Pid, Monitor, LimitMs, none).

%% While a callback runs, and nothing else of it is heard, there is a limit.
watch(Pid, Monitor, LimitMs, Callback) ->
    TimeoutMs = case Callback of
                    none -> infinity;
                    _ -> LimitMs
                end,
    receive
        {Pid, calls, Called} ->
            watch(Pid, Monitor, LimitMs, Called);
        {Pid, returned} ->
            watch(Pid, Monitor, LimitMs, none);
        {Pid, ended, Result} ->
            erlang:demonitor(Monitor, [flush]),
            Result;
        {'DOWN', Monitor, process, Pid, Reason} ->
            {error, {block_died, Reason}}
    after TimeoutMs ->
            exit(Pid, kill),
            receive {'DOWN', Monitor, process, Pid, _} -> ok end,
            {error, {no_return, Callback, LimitMs}}
    end.

%% Calls a callback of the adapter in the process that `with/2' made, within the limit.
callback(Adapter, Function, Arguments) ->
    Watcher = get(?MODULE),
    Watcher ! {self(), calls, {Adapter, Function, length(Arguments)}},
    Answer = apply(Adapter, Function, Arguments),
    Watcher ! {self(), returned},
    Answer.

lifecycle(#{adapter := Adapter} = Plan, Work) ->
    process_flag(trap_exit, true),
    % In a VM that is fresh nothing seems exported of a module that is not loaded.
    {module, Adapter} = code:ensure_loaded(Adapter),
    {Function, Arguments} = beginning(Plan, router_bench_plan:adapter_options(Plan)),
    Beginning = {Adapter, Function, length(Arguments)},
    try callback(Adapter, Function, Arguments) of
        {ok, State} ->
            ended_after(ending(Plan), Adapter, State, Work);
        {error, Reason} ->
            {error, {adapter_failed, Beginning, {error, Reason}}};
        Other ->
            {error, {bad_return, Beginning, Other}}
    catch
        Class:Reason:Stack -> {error, {adapter_failed, Beginning, {Class, Reason, Stack}}}
    end.

%% A driver reaches a router that was started elsewhere.
beginning(#{reached := Nodes}, Options) when is_list(Nodes) -> {connect, [Nodes, Options]};
beginning(_Plan, Options) -> {init, [Options]}.

%% @doc What the router is reached through, as a report names it; empty where it is called inside its
%% BEAM. Only in the process that `with/2' made.
-spec transport(module(), router_bench_adapter:state()) -> {ok, reached()} | {error, term()}.
transport(Adapter, State) ->
    case erlang:function_exported(Adapter, transport, 1) of
        true ->
            try callback(Adapter, transport, [State]) of
                Answer ->
                    case is_transport(Answer) of
                        true -> {ok, reached(Answer)};
                        false -> {error, {bad_return, {Adapter, transport, 1}, Answer}}
                    end
            catch
                Class:Reason:Stack -> {error, {adapter_failed, {Adapter, transport, 1}, {Class, Reason, Stack}}}
            end;
        false ->
            {ok, #{}}
    end.

%% To name what is not there is to have no such callback.
reached(#{name := <<"local">>}) -> #{};
reached(Answer) -> maps:from_list([{stated(Key), Text} || {Key, Text} <- maps:to_list(Answer)]).

stated(name) -> transport;
stated(server) -> transport_server;
stated(tls_version) -> transport_tls_version;
stated(tls_cipher) -> transport_tls_cipher.

is_transport(#{name := <<"local">>} = Answer) ->
    map_size(Answer) =:= 1;
is_transport(#{name := _} = Answer) ->
    lists:all(fun is_text/1, maps:values(Answer))
        andalso maps:without([name, server, tls_version, tls_cipher], Answer) =:= #{};
is_transport(_) ->
    false.

is_text(Text) when is_binary(Text), Text =/= <<>>, byte_size(Text) =< ?TEXT_MAX ->
    case unicode:characters_to_list(Text) of
        Characters when is_list(Characters) ->
            % A line break is printable.
            io_lib:printable_unicode_list(Characters) andalso lists:min(Characters) >= $\s;
        _ -> false
    end;
is_text(_) ->
    false.

%% The router of a fresh BEAM is stopped. One that others use is not, unless that was asked for; what
%% `init/1' made there may have to be taken back.
ending(#{reached := Nodes, adapter := Adapter}) when is_list(Nodes) ->
    case erlang:function_exported(Adapter, disconnect, 1) of
        true -> disconnect;
        false -> none
    end;
ending(#{node := []}) ->
    terminate;
ending(#{adapter := Adapter, attach_allow := Allowed}) ->
    case {lists:member(terminate, Allowed), erlang:function_exported(Adapter, detach, 1)} of
        {true, _} -> terminate;
        {false, true} -> detach;
        {false, false} -> none
    end.

ended_after(none, _Adapter, State, Work) ->
    Work(State);
ended_after(Ending, Adapter, State, Work) ->
    Entrusted = entrusted({Adapter, Ending, [State]}),
    try Work(State)
    after
        try callback(Adapter, Ending, [State])
        after released(Entrusted)
        end
    end.

%% A fresh BEAM that is killed takes its router with it.
entrusted(Ending) ->
    case whereis(router_bench_guardian) of
        undefined -> none;
        _ -> router_bench_guardian:entrust(Ending)
    end.

released(none) -> ok;
released(Entrusted) -> router_bench_guardian:release(Entrusted).

%% @doc Reads the router's counters; an answer that is none of the contract's is an error. Only in the
%% process that `with/2' made.
-spec counters(module(), router_bench_adapter:state()) ->
          {ok, router_bench_adapter:counters()} | {error, term()}.
counters(Adapter, State) -> counters(Adapter, counters, State).

%% @doc Reads those of a driver's connection to its routers; `none' where the adapter counts nothing there. Only in
%% the process that `with/2' made.
-spec connection_counters(module(), router_bench_adapter:state()) ->
          {ok, none | router_bench_adapter:counters()} | {error, term()}.
connection_counters(Adapter, State) ->
    case erlang:function_exported(Adapter, connection_counters, 1) of
        true -> counters(Adapter, connection_counters, State);
        false -> {ok, none}
    end.

counters(Adapter, Callback, State) ->
    Answer = callback(Adapter, Callback, [State]),
    IsCount = fun(_, Value) -> is_integer(Value) andalso Value >= 0 end,
    case is_map(Answer) andalso maps:with([errors_total, backpressure_active_total], Answer) of
        false ->
            {error, {bad_return, {Adapter, Callback, 1}, Answer}};
        Counted ->
            case maps:filter(IsCount, Counted) of
                Counted -> {ok, Counted};
                _ -> {error, {bad_return, {Adapter, Callback, 1}, Answer}}
            end
    end.

%% @doc Makes the router meet an error or activate backpressure. Only in the process that `with/2'
%% made.
-spec control(errors_total | backpressure_active_total, module(), router_bench_adapter:state()) ->
          term().
control(Counter, Adapter, State) ->
    callback(Adapter, control, [Counter, State]).
