%% @doc Reads the probes at a fixed cadence, from inside the VM, while its owner measures.
%%
%% A process of high priority, so that load does not starve it; it keeps its samples to itself until
%% it is stopped. Linked to its owner. It works from {@link resume/1} to {@link pause/1}, with a
%% reading of every probe at either end, and in between it sleeps. Its time is that of the measured
%% stretches laid end to end: two readings of the same time have a pause between them.
%%
%% There is one tick, the plan's: on each, the gated probes are read, and after them those of other
%% classes whose time has come. What each reading cost and how late each tick came is recorded too.
%% @private
-module(router_bench_sampler).

-export([start_link/3, resume/1, pause/1, watch_collections/1, stop/1]).

-export_type([samples/0, series/0, cost/0, lateness/0]).

%% In measured time. Readings that were `absent' are left out.
-type series() :: #{name := atom(), unit := router_bench_probes:unit(),
                    points := [{TimeMs :: non_neg_integer(), Value :: non_neg_integer()}]}.
-type cost() :: #{name := atom(), samples := pos_integer(), cost_mean_ns := non_neg_integer(),
                  cost_max_ns := non_neg_integer()}.
%% Of the ticks; none in a block shorter than the cadence.
-type lateness() :: #{ticks := non_neg_integer(), mean_ns => non_neg_integer(),
                      max_ns => non_neg_integer()}.
-type samples() :: #{series := [series()], probes := [cost()], lateness := lateness(),
                     events := router_bench_monitor:counts()}.

%% A probe with what it has read so far, latest first: tuples of a time and a value for each series.
-record(track, {probe :: router_bench_probes:probe(),
                interval_ms :: pos_integer(),
                next_ms = 0 :: integer(),
                rows = [] :: [tuple()],
                cost = {0, 0, 0} :: tally()}).
%% `zero_ms': the monotonic time at which the measured time would have begun without a pause.
-record(sampling, {owner :: pid(),
                   monitor :: pid(),
                   source :: router_bench_probes:source(),
                   interval_ms :: pos_integer(),
                   zero_ms = 0 :: integer()}).
-type tally() :: {Count :: non_neg_integer(), SumNs :: non_neg_integer(),
                  MaxNs :: non_neg_integer()}.

%% Some probes wait for every scheduler, and so for the load. 5 s is a stall, not a load.
-define(STOP_TIMEOUT_MS, 5000).
-define(NS_PER_MS, 1000000).

%% @doc Starts a sampler that waits.
-spec start_link(module(), router_bench_adapter:state(), IntervalMs :: pos_integer()) -> pid().
start_link(Adapter, State, IntervalMs) ->
    Owner = self(),
    Options = [link, {priority, high}, {min_heap_size, 16384}],
    Sampler = spawn_opt(fun() -> init(Owner, Adapter, State, IntervalMs) end, Options),
    receive
        {Sampler, started} -> Sampler;
        {'EXIT', Sampler, Reason} -> exit({sampler_died, Reason})
    end.

%% @doc Counts long garbage collections from now on; not before, because that costs throughput.
-spec watch_collections(pid()) -> ok.
watch_collections(Sampler) ->
    Sampler ! watch_collections,
    ok.

%% @doc Samples from now on; the first sample is taken when this returns.
-spec resume(pid()) -> ok.
resume(Sampler) ->
    ask(Sampler, resume).

%% @doc Takes a last sample and samples no more.
-spec pause(pid()) -> ok.
pause(Sampler) ->
    ask(Sampler, pause).

%% @doc Ends a sampler that waits, and gives all samples in order of time.
-spec stop(pid()) -> samples().
stop(Sampler) ->
    ask(Sampler, stop).

ask(Sampler, What) ->
    Sampler ! {What, self()},
    receive
        {Sampler, What, Answer} -> Answer;
        {'EXIT', Sampler, Reason} -> exit({sampler_died, Reason})
    after ?STOP_TIMEOUT_MS -> exit({sampler_died, {no_answer, ?STOP_TIMEOUT_MS, stack(Sampler)}})
    end.

%% Where it hangs: in a probe, or in the adapter's `counters/1'.
stack(Sampler) ->
    case process_info(Sampler, current_stacktrace) of
        {current_stacktrace, Stack} -> Stack;
        undefined -> []
    end.

init(Owner, Adapter, State, IntervalMs) ->
    Monitor = router_bench_monitor:start_link(),
    Source = router_bench_probes:open(Adapter, State),
    Tracks = [#track{probe = Probe,
                     interval_ms = router_bench_probes:interval_ms(Class, IntervalMs)}
              || #{class := Class} = Probe <- router_bench_probes:table()],
    Owner ! {self(), started},
    {Last, Lateness} = waits(#sampling{owner = Owner, monitor = Monitor, source = Source,
                                       interval_ms = IntervalMs}, 0, Tracks, {0, 0, 0}),
    ok = router_bench_probes:close(Source),
    Events = router_bench_monitor:stop(Monitor),
    Owner ! {self(), stop, #{series => lists:append([series(Track) || Track <- Last]),
                             probes => [cost(Track) || Track <- Last],
                             lateness => lateness(Lateness),
                             events => Events}},
    ok.

%% `MeasuredMs': the length of all stretches so far.
waits(#sampling{owner = Owner, monitor = Monitor, interval_ms = IntervalMs} = Sampling, MeasuredMs,
      Tracks, Lateness) ->
    receive
        {resume, Owner} ->
            StartMs = erlang:monotonic_time(millisecond),
            Stretch = Sampling#sampling{zero_ms = StartMs - MeasuredMs},
            First = [(reading(Stretch, StartMs, Track))
                         #track{next_ms = StartMs + Track#track.interval_ms} || Track <- Tracks],
            Owner ! {self(), resume, ok},
            samples(Stretch, StartMs + IntervalMs, First, Lateness);
        watch_collections ->
            ok = router_bench_monitor:watch_collections(Monitor),
            waits(Sampling, MeasuredMs, Tracks, Lateness);
        {stop, Owner} ->
            {Tracks, Lateness}
    end.

samples(#sampling{owner = Owner, interval_ms = IntervalMs, zero_ms = ZeroMs} = Stretch, NextMs,
        Tracks, Lateness) ->
    Timer = erlang:start_timer(NextMs, self(), tick, [{abs, true}]),
    receive
        {timeout, Timer, tick} ->
            LateNs = max(0, erlang:monotonic_time(nanosecond) - NextMs * ?NS_PER_MS),
            Taken = due(NextMs, Stretch, Tracks),
            % A tick that came too late is left out, not made up for in a burst.
            Following = max(NextMs + IntervalMs, erlang:monotonic_time(millisecond)),
            samples(Stretch, Following, Taken, tallied(LateNs, Lateness));
        {pause, Owner} ->
            _ = erlang:cancel_timer(Timer),
            EndMs = erlang:monotonic_time(millisecond),
            Last = [reading(Stretch, EndMs, Track) || Track <- Tracks],
            Owner ! {self(), pause, ok},
            waits(Stretch, EndMs - ZeroMs, Last, Lateness)
    end.

%% Reads the probes whose time has come.
due(TickMs, Stretch, Tracks) ->
    [case NextMs =< TickMs of
         true ->
             NowMs = erlang:monotonic_time(millisecond),
             (reading(Stretch, NowMs, Track))#track{next_ms = TickMs + IntervalMs};
         false ->
             Track
     end || #track{next_ms = NextMs, interval_ms = IntervalMs} = Track <- Tracks].

%% A reading that is booked at `AtMs'.
reading(#sampling{source = Source, zero_ms = ZeroMs}, AtMs,
        #track{probe = Probe, rows = Rows, cost = Cost} = Track) ->
    BeforeNs = erlang:monotonic_time(nanosecond),
    Values = router_bench_probes:read(Probe, Source),
    CostNs = erlang:monotonic_time(nanosecond) - BeforeNs,
    Row = list_to_tuple([AtMs - ZeroMs | Values]),
    Track#track{rows = [Row | Rows], cost = tallied(CostNs, Cost)}.

tallied(Ns, {Count, SumNs, MaxNs}) ->
    {Count + 1, SumNs + Ns, max(MaxNs, Ns)}.

series(#track{probe = #{series := Names}, rows = Rows}) ->
    InOrder = lists:reverse(Rows),
    [#{name => Name, unit => Unit,
       points => [{element(1, Row), Value} || Row <- InOrder,
                                              Value <- [element(Place, Row)], Value =/= absent]}
     || {Place, {Name, Unit}} <- lists:zip(lists:seq(2, length(Names) + 1), Names)].

cost(#track{probe = #{name := Name}, cost = {Count, SumNs, MaxNs}}) ->
    #{name => Name, samples => Count, cost_mean_ns => SumNs div max(1, Count), cost_max_ns => MaxNs}.

lateness({0, _, _}) ->
    #{ticks => 0};
lateness({Count, SumNs, MaxNs}) ->
    #{ticks => Count, mean_ns => SumNs div Count, max_ns => MaxNs}.
