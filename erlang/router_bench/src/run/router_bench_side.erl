%% @doc One side of a block, inside the BEAM that holds the router: load it, warm it up, measure it
%% slice by slice, stop it.
%%
%% What is called here is called by {@link router_bench_block} from outside. Between two calls
%% nothing of the bench runs in this BEAM: its processes wait for messages, and no timer of theirs
%% is set.
%% @private
-module(router_bench_side).

-export([start/1, warm_up/0, slice/2, finish/0, unload/0, glance/0]).

-export_type([context/0, result/0, glance/0, seen/0]).

-type context() :: #{plan := router_bench_plan:plan(), adapter := module(),
                     state := router_bench_adapter:state(),
                     transport => router_bench_router:reached()}.
-type result() :: #{warmup := router_bench_warmup:result(),
                    throughput := router_bench_closed_loop:result(),
                    latency := router_bench_open_loop:result(),
                    samples := router_bench_sampler:samples(),
                    evidence := router_bench_evidence:evidence(),
                    idle := idle(),
                    counters_start := router_bench_adapter:counters(),
                    counters_end := router_bench_adapter:counters(),
                    env := router_bench_env:vm(),
                    clock := router_bench_env:clock()}.
%% Between this side's slices: how long, and the processor time that this BEAM used meanwhile.
-type idle() :: #{cpu_ms := non_neg_integer(), wall_ms := non_neg_integer()}.
%% What somebody who looks on sees: of the loop what its slices so far say, of the VM this moment.
-type glance() :: #{loop => seen(), run_queue := non_neg_integer(),
                    memory := [{Class :: atom(), Bytes :: non_neg_integer()}],
                    mailboxes := [{Name :: atom(), Messages :: non_neg_integer()}]}.
%% `served_per_second' is that of the latest slice; percentiles are medians over slices, as in a report.
-type seen() :: #{slices := pos_integer(), served := non_neg_integer(),
                  served_per_second := float(), offered_per_second => float(),
                  error := non_neg_integer(), timeout := non_neg_integer(),
                  rejected := non_neg_integer(), skipped => non_neg_integer(),
                  p50_ns => router_bench_nif:ns(), p95_ns => router_bench_nif:ns(),
                  p99_ns => router_bench_nif:ns()}.
-type answer() :: ok | {ok, result()} | {ok, Requests :: non_neg_integer()} | {error, Reason :: term()}.

-define(SIDE, router_bench_side).
-define(OWNER, router_bench_side_owner).
-define(MAILBOXES_MAX, 16).

%% @doc Starts the router; it lives until {@link finish/0}, or until something fails.
-spec start(router_bench_plan:plan()) -> answer().
start(#{adapter := Adapter} = Plan) ->
    Caller = self(),
    Reference = make_ref(),
    {_Owner, Monitor} = spawn_monitor(fun() ->
        true = register(?OWNER, self()),
        Ended = router_bench_router:with(Plan, fun(State) ->
            true = register(?SIDE, self()),
            watch_router(Adapter, State),
            case router_bench_router:transport(Adapter, State) of
                {ok, Transport} ->
                    Caller ! {Reference, ok},
                    serve(fun warm_up/2, #{plan => Plan, adapter => Adapter, state => State,
                                           transport => Transport});
                {error, Reason} ->
                    {error, Reason}
            end
        end),
        Caller ! {Reference, Ended},
        tell(Ended)
    end),
    await(Monitor, Reference).

%% Says to whoever has asked, or asks, how it ended.
tell(Ended) ->
    receive {ask, Caller, Reference, _What} -> Caller ! {Reference, Ended} end,
    tell(Ended).

%% @doc Warms the router up; nothing of it is measured.
-spec warm_up() -> answer().
warm_up() -> ask(warm_up).

%% @doc Measures a slice.
-spec slice(closed | open, DurationMs :: pos_integer()) -> answer().
slice(Loop, DurationMs) -> ask({Loop, DurationMs}).

%% @doc Stops the router and gives what was measured.
-spec finish() -> answer().
finish() -> ask(finish).

%% @doc Stops a router that had no load but the closed loop, and gives the requests that it was sent.
-spec unload() -> answer().
unload() -> ask(unload).

%% @doc Looks on, from any process. The side answers one signal, and each of the router's processes that
%% are watched by name another; nothing native is called and nothing is reset.
-spec glance() -> glance().
glance() ->
    {Loop, Names} = case whereis(?SIDE) of
                        undefined -> {#{}, []};
                        Side -> seen(process_info(Side, [dictionary, monitors]))
                    end,
    Lengths = [{Name, Length} || Name <- Names, Pid <- [whereis(Name)], is_pid(Pid),
                                 {message_queue_len, Length}
                                     <- [process_info(Pid, message_queue_len)]],
    Loop#{run_queue => erlang:statistics(total_run_queue_lengths_all), memory => erlang:memory(),
          mailboxes => Lengths}.

seen(undefined) ->
    {#{}, []};
seen([{dictionary, Dictionary}, {monitors, Monitors}]) ->
    Names = lists:sublist([Name || {process, {Name, _Node}} <- Monitors], ?MAILBOXES_MAX),
    case lists:keyfind(?MODULE, 1, Dictionary) of
        {_, {Kind, Loop}} -> {maps:from_list([{loop, Seen} || Seen <- (module(Kind)):seen(Loop)]), Names};
        false -> {#{}, Names}
    end.

%% Both are asked: the owner does not hear it before the side has ended.
ask(What) ->
    Reference = make_ref(),
    Monitor = monitor(process, ?OWNER),
    _ = [Pid ! {ask, self(), Reference, What} || Name <- [?SIDE, ?OWNER],
                                                 Pid <- [whereis(Name)], is_pid(Pid)],
    await(Monitor, Reference).

await(Monitor, Reference) ->
    receive
        {Reference, Answer} ->
            erlang:demonitor(Monitor, [flush]),
            Answer;
        {'DOWN', Monitor, process, _, Reason} ->
            {error, {block_died, Reason}}
    end.

%% In the process that has the router

%% Waits for what is asked next; a process of the router that dies meanwhile ends the block.
serve(Do, Kept) ->
    receive
        {ask, Caller, Reference, What} ->
            case Do(What, Kept) of
                {next, Next, More} ->
                    Caller ! {Reference, ok},
                    serve(Next, More);
                Ended ->
                    Ended
            end;
        {'DOWN', _Monitor, process, {Name, _Node}, Reason} ->
            {error, {router_died, Name, Reason}};
        {'EXIT', _Linked, _Reason} ->
            serve(Do, Kept)
    end.

warm_up(warm_up, Context) ->
    case router_bench_warmup:run(Context) of
        {ok, Warmup} -> ready(Warmup, Context);
        {error, Reason} -> {error, Reason}
    end.

ready(Warmup, #{plan := Plan, adapter := Adapter, state := State} = Context) ->
    #{sample_interval_ms := IntervalMs} = Plan,
    Watch = router_bench_evidence:open(),
    Sampler = router_bench_sampler:start_link(Adapter, State, IntervalMs),
    case router_bench_router:counters(Adapter, State) of
        {ok, Counters} ->
            {next, fun measure/2,
             #{context => Context, warmup => Warmup, watch => Watch, sampler => Sampler,
               counters_start => Counters, loop => none, done => #{}, paused => never,
               idle => #{cpu_ms => 0, wall_ms => 0}}};
        {error, Reason} ->
            {error, Reason}
    end.

measure({Kind, DurationMs}, Kept) ->
    case in_loop(Kind, Kept) of
        {ok, Current} -> measured(Kind, DurationMs, Current);
        {error, Reason} -> {error, Reason}
    end;
measure(finish, Kept) ->
    case in_loop(none, Kept) of
        {ok, Current} -> finished(Current);
        {error, Reason} -> {error, Reason}
    end;
measure(unload, Kept) ->
    case in_loop(none, Kept) of
        {ok, #{sampler := Sampler, watch := Watch,
               done := #{closed := #{accounting := #{offered := Offered}}}}} ->
            _ = router_bench_sampler:stop(Sampler),
            _ = router_bench_evidence:close(Watch),
            {ok, Offered};
        {error, Reason} ->
            {error, Reason}
    end.

%% One loop after the other: the one before ends with the first slice of the next.
in_loop(Kind, #{loop := {Kind, _}} = Kept) ->
    {ok, Kept};
in_loop(Kind, #{loop := none} = Kept) ->
    {ok, opened(Kind, Kept)};
in_loop(Kind, #{loop := {Before, Loop}, done := Done} = Kept) ->
    case (module(Before)):close(Loop) of
        {ok, Result} -> {ok, opened(Kind, Kept#{done := Done#{Before => Result}})};
        {error, Reason} -> {error, Reason}
    end.

opened(none, Kept) ->
    Kept#{loop := none};
opened(Kind, #{context := Context, sampler := Sampler} = Kept) ->
    % In the open loop only, because the VM then times each collection, and that costs throughput.
    _ = [ok = router_bench_sampler:watch_collections(Sampler) || Kind =:= open],
    Kept#{loop := {Kind, (module(Kind)):open(Context)}}.

module(closed) -> router_bench_closed_loop;
module(open) -> router_bench_open_loop.

measured(Kind, DurationMs, #{loop := {Kind, Loop}, watch := Watch, sampler := Sampler} = Before) ->
    Kept = idle_until_now(Before),
    % For who looks on.
    _ = put(?MODULE, {Kind, Loop}),
    Watching = router_bench_evidence:resume(Watch),
    ok = router_bench_sampler:resume(Sampler),
    Result = (module(Kind)):slice(Loop, DurationMs),
    ok = router_bench_sampler:pause(Sampler),
    Watched = router_bench_evidence:pause(Watching),
    case Result of
        {ok, _Slice, Next} ->
            {next, fun measure/2, Kept#{loop := {Kind, Next}, watch := Watched,
                                        paused := cpu_and_wall_ms()}};
        {error, Reason} ->
            {error, Reason}
    end.

idle_until_now(#{paused := never} = Kept) ->
    Kept;
idle_until_now(#{paused := {CpuMs, WallMs}, idle := #{cpu_ms := Cpu, wall_ms := Wall}} = Kept) ->
    {CpuNowMs, WallNowMs} = cpu_and_wall_ms(),
    Kept#{idle := #{cpu_ms => Cpu + CpuNowMs - CpuMs, wall_ms => Wall + WallNowMs - WallMs}}.

%% Of all threads of this BEAM.
cpu_and_wall_ms() ->
    {CpuMs, _SinceLastCall} = erlang:statistics(runtime),
    {CpuMs, erlang:monotonic_time(millisecond)}.

finished(#{context := #{adapter := Adapter, state := State, transport := Transport}, sampler := Sampler, watch := Watch,
           done := #{closed := Throughput, open := Latency}} = Kept) ->
    Samples = router_bench_sampler:stop(Sampler),
    case router_bench_router:counters(Adapter, State) of
        {ok, Counters} ->
            {ok, (maps:with([warmup, idle, counters_start], Kept))#{
                   throughput => Throughput, latency => Latency, samples => Samples,
                   counters_end => Counters, evidence => router_bench_evidence:close(Watch),
                   env => maps:merge(router_bench_env:vm(), Transport), clock => router_bench_env:clock()}};
        {error, Reason} ->
            {error, Reason}
    end.

watch_router(Adapter, State) ->
    case erlang:function_exported(Adapter, processes, 1) of
        true -> lists:foreach(fun(Name) -> monitor(process, Name) end, Adapter:processes(State));
        false -> ok
    end.
