%% @doc The spans of `telemetry', where the node has it: this application does not need it.
%% @private
-module(router_bench_spans).

-export([attach/3, detach/0, is_attached/1, answer/1]).

-export_type([prefix/0]).

-type prefix() :: [atom(), ...].

-define(HANDLER, router_bench_watch).
-define(ENDS, [start, stop, exception]).
-define(SETTLE_MS, 20).

%% @doc Has the spans with these prefixes recorded. `Answer' makes of the metadata of a span's end what its
%% request was answered.
-spec attach([prefix(), ...], router_bench_recording:recording(), fun((map()) -> term())) ->
          ok | {error, no_telemetry | {telemetry, term()}}.
attach(Prefixes, Recording, Answer) ->
    case code:ensure_loaded(telemetry) of
        {module, Telemetry} ->
            Events = [Prefix ++ [End] || Prefix <- Prefixes, End <- ?ENDS],
            % One that a killed watch has left.
            _ = Telemetry:detach(?HANDLER),
            case Telemetry:attach_many(?HANDLER, Events, fun router_bench_recording:span/4,
                                       {Recording, Answer}) of
                ok -> ok;
                {error, Reason} -> {error, {telemetry, Reason}}
            end;
        {error, _} ->
            {error, no_telemetry}
    end.

%% @doc Has nothing recorded any more.
-spec detach() -> ok.
detach() ->
    case code:is_loaded(telemetry) of
        false ->
            ok;
        _ ->
            {module, Telemetry} = code:ensure_loaded(telemetry),
            % Where it was stopped meanwhile there are no handlers.
            try Telemetry:detach(?HANDLER) of
                % Whoever has found the handler before is still to call it.
                ok -> timer:sleep(?SETTLE_MS);
                {error, _NotFound} -> ok
            catch error:badarg -> ok
            end
    end.

%% @doc Whether these spans are still recorded: `telemetry' detaches a handler that raises, and so may
%% anybody.
-spec is_attached([prefix(), ...]) -> boolean().
is_attached(Prefixes) ->
    {module, Telemetry} = code:ensure_loaded(telemetry),
    IsOwn = fun(Event) ->
                    lists:any(fun(#{id := Id}) -> Id =:= ?HANDLER end, Telemetry:list_handlers(Event))
            end,
    try lists:all(IsOwn, [Prefix ++ [End] || Prefix <- Prefixes, End <- ?ENDS])
    catch error:badarg -> false
    end.

%% @doc What a span's end says by its metadata, where nobody says otherwise: a `result', or an `error' that
%% is one.
-spec answer(map()) -> term().
answer(#{result := error}) -> error;
answer(#{result := {error, _} = Error}) -> Error;
answer(#{result := rejected}) -> rejected;
answer(#{result := {rejected, _} = Rejected}) -> Rejected;
answer(#{result := _}) -> ok;
answer(#{error := None}) when None =:= undefined; None =:= nil; None =:= false -> ok;
answer(#{error := Reason}) -> {error, Reason};
answer(_Metadata) -> ok.
