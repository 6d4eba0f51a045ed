%% @doc One side of a block, inside the BEAM that holds the router: load it, warm it up, measure it
%% slice by slice, stop it.
%%
%% What is called here is called by {@link router_bench_block} from outside. Between two calls
%% nothing of the bench runs in this BEAM: its processes wait for messages, and no timer of theirs
%% is set. The load is in the same BEAM, or in the drivers' ({@link router_bench_driver}): then what is
%% measured here is the router's memory and counters.
%% @private
-module(router_bench_side).

-export([start/1, warm_up/0, slice/2, recover/0, finish/0, unload/0, glance/0]).
%% Where drivers elsewhere have the load.
-export([warmed_up/0, resume/1, pause/0]).

-export_type([context/0, result/0, glance/0, seen/0]).

-type context() :: #{plan := router_bench_plan:plan(), adapter := module(),
                     state := router_bench_adapter:state(),
                     transport => router_bench_router:reached()}.
%% `warmup', `throughput' and `latency' come from the drivers where there are some, with what each node
%% measured.
-type result() :: #{warmup => router_bench_warmup:result(),
                    throughput => router_bench_closed_loop:result(),
                    latency => router_bench_open_loop:result(),
                    nodes => router_bench_nodes:nodes(),
                    samples := router_bench_sampler:samples(),
                    evidence := router_bench_evidence:evidence(),
                    idle := idle(),
                    recovery => router_bench_recovery:result(),
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

-define(NAMES, {?MODULE, router_bench_side_owner}).
-define(MAILBOXES_MAX, 16).

%% @doc Starts the router; it lives until {@link finish/0}, or until something fails.
-spec start(router_bench_plan:plan()) -> answer().
start(#{adapter := Adapter} = Plan) ->
    router_bench_asked:start(?NAMES, fun(Ready) ->
        router_bench_router:with(Plan, fun(State) ->
            watch_router(Adapter, State),
            case router_bench_router:transport(Adapter, State) of
                {ok, Transport} ->
                    ok = Ready(),
                    router_bench_asked:serve(fun warm_up/2, #{plan => Plan, adapter => Adapter, state => State,
                                                              transport => Transport});
                {error, Reason} ->
                    {error, Reason}
            end
        end)
    end).

%% @doc Warms the router up; nothing of it is measured.
-spec warm_up() -> answer().
warm_up() -> router_bench_asked:ask(?NAMES, warm_up).

%% @doc The same of a router that others have warmed up.
-spec warmed_up() -> answer().
warmed_up() -> router_bench_asked:ask(?NAMES, warmed_up).

%% @doc Measures a slice.
-spec slice(router_bench_loops:kind(), DurationMs :: pos_integer()) -> answer().
slice(Loop, DurationMs) -> router_bench_asked:ask(?NAMES, {slice, Loop, DurationMs}).

%% @doc Watches from now on, while others have a slice of their load.
-spec resume(router_bench_loops:kind()) -> answer().
resume(Loop) -> router_bench_asked:ask(?NAMES, {resume, Loop}).

%% @doc Watches no more.
-spec pause() -> answer().
pause() -> router_bench_asked:ask(?NAMES, pause).

%% @doc Has the router be gone and come back, after all else; nothing is sampled meanwhile.
-spec recover() -> answer().
recover() -> router_bench_asked:ask(?NAMES, recover).

%% @doc Stops the router and gives what was measured.
-spec finish() -> answer().
finish() -> router_bench_asked:ask(?NAMES, finish).

%% @doc Stops a router that had no load but the closed loop, and gives the requests that it was sent.
-spec unload() -> answer().
unload() -> router_bench_asked:ask(?NAMES, unload).

%% @doc Looks on, from any process. The side answers one signal, and each of the router's processes that
%% are watched by name another; nothing native is called and nothing is reset.
-spec glance() -> glance().
glance() ->
    {Loop, Names} = case whereis(?MODULE) of
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
        {_, Loops} -> {maps:from_list([{loop, Seen} || Seen <- router_bench_loops:seen(Loops)]), Names};
        false -> {#{}, Names}
    end.

%% In the process that has the router

warm_up(warm_up, Context) ->
    case router_bench_warmup:run(Context) of
        {ok, Warmup} -> ready(#{warmup => Warmup}, Context);
        {error, Reason} -> {error, Reason}
    end;
warm_up(warmed_up, Context) ->
    ready(#{}, Context).

ready(Warmup, #{plan := Plan, adapter := Adapter, state := State} = Context) ->
    #{sample_interval_ms := IntervalMs} = Plan,
    Watch = router_bench_evidence:open(),
    Sampler = router_bench_sampler:start_link(Adapter, State, IntervalMs),
    case router_bench_router:counters(Adapter, State) of
        {ok, Counters} ->
            {next, ok, fun measure/2,
             Warmup#{context => Context, watch => Watch, sampler => Sampler, collections => not_watched,
                     counters_start => Counters, loops => router_bench_loops:new(Context), paused => never,
                     idle => #{cpu_ms => 0, wall_ms => 0}}};
        {error, Reason} ->
            {error, Reason}
    end.

measure({slice, Kind, DurationMs}, #{loops := Before} = Kept) ->
    case router_bench_loops:enter(Kind, Before) of
        {ok, Loops} -> slice(Kind, DurationMs, Kept#{loops := Loops});
        {error, Reason} -> {error, Reason}
    end;
measure({resume, Kind}, Kept) ->
    {next, ok, fun measure/2, resumed(Kind, Kept)};
measure(pause, Kept) ->
    {next, ok, fun measure/2, paused(Kept)};
measure(finish, Kept) ->
    measured(Kept);
measure(recover, #{context := Context} = Kept) ->
    case measured(Kept) of
        {ok, Result} -> recovered(router_bench_recovery:run(Context), Result);
        {error, Reason} -> {error, Reason}
    end;
measure(unload, #{loops := Loops, sampler := Sampler, watch := Watch}) ->
    case router_bench_loops:close(Loops) of
        {ok, #{closed := #{accounting := #{offered := Offered}}}} ->
            _ = router_bench_sampler:stop(Sampler),
            _ = router_bench_evidence:close(Watch),
            {ok, Offered};
        {error, Reason} ->
            {error, Reason}
    end.

slice(Kind, DurationMs, #{loops := Loops} = Kept) ->
    % For who looks on.
    _ = put(?MODULE, Loops),
    Resumed = resumed(Kind, Kept),
    Result = router_bench_loops:slice(DurationMs, Loops),
    Paused = paused(Resumed),
    case Result of
        {ok, _Slice, Next} -> {next, ok, fun measure/2, Paused#{loops := Next}};
        {error, Reason} -> {error, Reason}
    end.

resumed(Kind, Kept) ->
    #{watch := Watch, sampler := Sampler} = Next = collections(Kind, idle_until_now(Kept)),
    Watching = router_bench_evidence:resume(Watch),
    ok = router_bench_sampler:resume(Sampler),
    Next#{watch := Watching}.

paused(#{watch := Watching, sampler := Sampler} = Kept) ->
    ok = router_bench_sampler:pause(Sampler),
    Kept#{watch := router_bench_evidence:pause(Watching), paused := cpu_and_wall_ms()}.

%% In the open loop only, because the VM then times each collection, and that costs throughput.
collections(open, #{collections := not_watched, sampler := Sampler} = Kept) ->
    ok = router_bench_sampler:watch_collections(Sampler),
    Kept#{collections := watched};
collections(_Kind, Kept) ->
    Kept.

idle_until_now(#{paused := never} = Kept) ->
    Kept;
idle_until_now(#{paused := {CpuMs, WallMs}, idle := #{cpu_ms := Cpu, wall_ms := Wall}} = Kept) ->
    {CpuNowMs, WallNowMs} = cpu_and_wall_ms(),
    Kept#{idle := #{cpu_ms => Cpu + CpuNowMs - CpuMs, wall_ms => Wall + WallNowMs - WallMs}}.

%% Of all threads of this BEAM.
cpu_and_wall_ms() ->
    {CpuMs, _SinceLastCall} = erlang:statistics(runtime),
    {CpuMs, erlang:monotonic_time(millisecond)}.

recovered({ok, not_offered}, Result) -> {next, ok, fun finish/2, Result};
recovered({ok, Recovery}, Result) -> {next, ok, fun finish/2, Result#{recovery => Recovery}};
recovered({error, Reason}, _Result) -> {error, Reason}.

finish(finish, Result) -> {ok, Result}.

measured(#{loops := Loops} = Kept) ->
    case router_bench_loops:close(Loops) of
        {ok, Measured} -> sealed(Measured, Kept);
        {error, Reason} -> {error, Reason}
    end.

sealed(Measured, #{context := Context, sampler := Sampler, watch := Watch} = Kept) ->
    #{adapter := Adapter, state := State, transport := Transport} = Context,
    Samples = router_bench_sampler:stop(Sampler),
    case router_bench_router:counters(Adapter, State) of
        {ok, Counters} ->
            Own = maps:from_list([{Name, Result} || {Kind, Name} <- [{closed, throughput}, {open, latency}],
                                                    #{Kind := Result} <- [Measured]]),
            {ok, maps:merge(Own, (maps:with([warmup, idle, counters_start], Kept))#{
                   samples => Samples, counters_end => Counters, evidence => router_bench_evidence:close(Watch),
                   env => maps:merge(router_bench_env:vm(), Transport), clock => router_bench_env:clock()})};
        {error, Reason} ->
            {error, Reason}
    end.

watch_router(Adapter, State) ->
    case erlang:function_exported(Adapter, processes, 1) of
        true -> lists:foreach(fun(Name) -> monitor(process, Name) end, Adapter:processes(State));
        false -> ok
    end.
