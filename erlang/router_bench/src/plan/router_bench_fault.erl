%% @doc Faults planted on purpose, to show that the gate can fail. Off unless a run asks for one,
%% and named in its report.
%%
%% An adapter that lets faults be planted exports `faults/0', calls {@link plant/2} in its `init/1'
%% and routes through {@link route/2}.
-module(router_bench_fault).

-export([parse/1, text/1, plant/2, route/2]).

-export_type([fault/0, name/0, planted/0, actions/0]).

-type name() ::
    delay_us | stall_ms | error_ratio | hold_bytes | leak_bytes | backpressure | crash_after.
-type fault() :: {name(), number()}.
%% What only the adapter can do to its router.
-type actions() :: #{backpressure => fun(() -> term()), crash => fun(() -> term())}.
-opaque planted() :: none | {fault(), fun(() -> term())} | {fault(), atomics:atomics_ref(), fun()}.

%% A planted activation of backpressure comes once in so many requests, so that each measured phase
%% has some.
-define(REQUESTS_PER_ACTIVATION, 1000).
%% A planted stall comes that often.
-define(STALL_PERIOD_MS, 2000).

%% @doc Reads `name=value', for example `delay_us=200'.
-spec parse(unicode:chardata()) -> {ok, fault()} | {error, Message :: binary()}.
parse(Text) ->
    case string:split(Text, "=") of
        [Name, Value] -> parse(unicode:characters_to_list(Name), unicode:characters_to_list(Value));
        _ -> {error, usage()}
    end.

parse("delay_us", Value) -> number(delay_us, Value, 0.1, 1000000);
parse("stall_ms", Value) -> whole(stall_ms, Value, 1, ?STALL_PERIOD_MS div 2);
parse("error_ratio", Value) -> number(error_ratio, Value, 0.000001, 1);
parse("hold_bytes", Value) -> whole(hold_bytes, Value, 1, 1000000000);
parse("leak_bytes", Value) -> whole(leak_bytes, Value, 1, 1000000);
parse("backpressure", Value) -> whole(backpressure, Value, 1, 1);
parse("crash_after", Value) -> whole(crash_after, Value, 1, 1000000000);
parse(_, _) -> {error, usage()}.

whole(Name, Text, Min, Max) ->
    case string:to_integer(Text) of
        {Value, ""} when Value >= Min, Value =< Max ->
            {ok, {Name, Value}};
        _ ->
            {error, unicode:characters_to_binary(
                      io_lib:format("~s takes a whole number from ~b to ~b", [Name, Min, Max]))}
    end.

number(Name, Text, Min, Max) ->
    Number = case string:to_float(Text) of
                 {error, no_float} -> string:to_integer(Text);
                 Float -> Float
             end,
    case Number of
        {Value, ""} when Value >= Min, Value =< Max ->
            {ok, {Name, Value}};
        _ ->
            {error, unicode:characters_to_binary(
                      io_lib:format("~s takes a number from ~w to ~w", [Name, Min, Max]))}
    end.

usage() ->
    <<"expected one of delay_us=N stall_ms=N error_ratio=R hold_bytes=N leak_bytes=N backpressure=1 "
      "crash_after=N">>.

%% @doc The text that {@link parse/1} reads.
-spec text(fault()) -> binary().
text({Name, Value}) ->
    unicode:characters_to_binary(io_lib:format("~s=~w", [Name, Value])).

%% @doc Makes a fault ready; what it needs belongs to the calling process.
-spec plant(none | fault(), actions()) -> planted().
plant(none, _Actions) ->
    none;
plant({delay_us, Us} = Fault, _Actions) ->
    Ns = round(Us * 1000),
    {Fault, fun() -> busy_until(router_bench_nif:now() + Ns) end};
plant({stall_ms, Ms} = Fault, _Actions) ->
    {Fault, fun() -> wait_out(Ms - erlang:system_time(millisecond) rem ?STALL_PERIOD_MS) end};
plant({error_ratio, Ratio} = Fault, _Actions) ->
    {Fault, fun() -> rand:uniform() < Ratio end};
plant({hold_bytes, Bytes} = Fault, _Actions) ->
    Held = binary:copy(<<0>>, Bytes),
    {Fault, fun() -> byte_size(Held) end};
plant({leak_bytes, Bytes} = Fault, _Actions) ->
    Leak = ets:new(router_bench_leak, [public, {write_concurrency, true}]),
    {Fault, fun() -> ets:insert(Leak, {make_ref(), binary:copy(<<0>>, Bytes)}) end};
plant({backpressure, 1} = Fault, #{backpressure := Activate}) ->
    {Fault, atomics:new(1, []), Activate};
plant({crash_after, _} = Fault, #{crash := Crash}) ->
    {Fault, atomics:new(1, []), Crash}.

%% @doc Routes a request through the planted fault.
-spec route(planted(), fun(() -> router_bench_adapter:result())) -> router_bench_adapter:result().
route(none, Route) ->
    Route();
route({{error_ratio, _}, Strikes}, Route) ->
    case Strikes() of
        true -> {error, planted};
        false -> Route()
    end;
route({_Fault, Disturb}, Route) ->
    _ = Disturb(),
    Route();
route({{backpressure, 1}, Requests, Activate}, Route) ->
    case atomics:add_get(Requests, 1, 1) rem ?REQUESTS_PER_ACTIVATION of
        0 -> Activate();
        _ -> ok
    end,
    Route();
route({{crash_after, Limit}, Requests, Crash}, Route) ->
    case atomics:add_get(Requests, 1, 1) of
        Limit -> Crash();
        _ -> ok
    end,
    Route().

wait_out(Ms) when Ms > 0 -> timer:sleep(Ms);
wait_out(_) -> ok.

busy_until(DeadlineNs) ->
    case router_bench_nif:now() of
        Now when Now < DeadlineNs -> busy_until(DeadlineNs);
        _ -> ok
    end.
