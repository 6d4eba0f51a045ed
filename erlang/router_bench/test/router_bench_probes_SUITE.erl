%% The probes, the sampler that reads them, the receiver of the VM's events, and the figures made of
%% it all.
-module(router_bench_probes_SUITE).

-export([all/0, suite/0, init_per_testcase/2, end_per_testcase/2]).
-export([every_probe_answers_a_count_or_absent/1,
         names_are_unique_and_every_series_has_a_unit/1,
         no_class_is_read_more_often_than_the_plan_says/1,
         what_cannot_be_read_is_absent_and_not_zero/1,
         a_wrong_counter_of_the_adapter_is_absent_and_not_a_value/1,
         resident_memory_is_what_the_kernel_says_elsewhere_too/1,
         the_longest_mailbox_of_the_named_processes_counts/1,
         the_gated_probe_is_read_on_every_tick_and_at_both_ends/1,
         a_stopped_sampler_leaves_nothing_behind/1,
         a_killed_sampler_leaves_nothing_behind/1,
         the_place_that_somebody_has_is_left_to_them_and_the_figures_are_absent/1,
         the_monitor_has_a_place_that_is_free_until_it_is_stopped/1,
         whoever_took_the_place_of_the_monitor_keeps_it/1,
         events_are_counted_and_other_messages_are_not/1,
         figures_are_those_worked_by_hand/1,
         what_passes_in_a_pause_counts_for_nothing/1,
         a_long_series_is_thinned_evenly/1,
         absent_stays_absent_in_figures_and_series/1,
         the_report_has_the_figures_of_every_block/1,
         a_planted_leak_is_in_the_series_of_its_class/1,
         time_in_backpressure_is_reported_only_by_an_adapter_that_tells/1]).

%% Longer than any test: the probes are then read at the first and the last sample only.
-define(NO_TICK_MS, 600000).
-define(PATIENCE_MS, 10000).

suite() ->
    [{timetrap, {minutes, 2}}].

all() ->
    [F || {F, 1} <- ?MODULE:module_info(exports), F =/= module_info].

init_per_testcase(_Case, Config) ->
    _ = erlang:system_monitor(undefined),
    Config.

end_per_testcase(_Case, _Config) ->
    _ = erlang:system_monitor(undefined),
    ok.

%% The table

every_probe_answers_a_count_or_absent(_Config) ->
    Source = router_bench_probes:open(plain_adapter, none),
    [begin
         Values = router_bench_probes:read(Probe, Source),
         true = length(Values) =:= length(Series),
         [true = Value =:= absent orelse (is_integer(Value) andalso Value >= 0) || Value <- Values]
     end || #{series := Series} = Probe <- router_bench_probes:table()],
    ok = router_bench_probes:close(Source).

names_are_unique_and_every_series_has_a_unit(_Config) ->
    Table = router_bench_probes:table(),
    Probes = [Name || #{name := Name} <- Table],
    Series = lists:append([S || #{series := S} <- Table]),
    Names = [Name || {Name, _} <- Series],
    true = lists:usort(Probes) =:= lists:sort(Probes),
    true = lists:usort(Names) =:= lists:sort(Names),
    [true = lists:member(Unit, [byte, count, flag, message, native, word]) || {_, Unit} <- Series],
    [true = length(Help) > 0 || #{help := Help} <- Table],
    % What is gated is read first, so that no other probe delays it.
    Gated = [Name || #{name := Name, class := gated} <- Table],
    true = lists:prefix(Gated, Probes),
    [memory, router] = Gated.

no_class_is_read_more_often_than_the_plan_says(_Config) ->
    [begin
         IntervalMs = router_bench_probes:interval_ms(Class, PlanMs),
         true = IntervalMs >= PlanMs,
         true = Class =/= gated orelse IntervalMs =:= PlanMs
     end || Class <- [gated, cheap, expensive], PlanMs <- [10, 50, 100, 499, 60000]],
    true = router_bench_probes:interval_ms(cheap, 10)
        < router_bench_probes:interval_ms(expensive, 10).

read(Name, Adapter, State) ->
    [Probe] = [P || #{name := N} = P <- router_bench_probes:table(), N =:= Name],
    Source = router_bench_probes:open(Adapter, State),
    Values = router_bench_probes:read(Probe, Source),
    ok = router_bench_probes:close(Source),
    Values.

what_cannot_be_read_is_absent_and_not_zero(_Config) ->
    [absent] = read(mailbox, plain_adapter, none), % it names no process
    [absent] = read(mailbox, named_adapter([no_such_process]), #{}),
    [0, 0, absent] = read(router, plain_adapter, none),
    [absent, absent, absent] = read(router, telling_adapter(), #{}).

a_wrong_counter_of_the_adapter_is_absent_and_not_a_value(_Config) ->
    Adapter = telling_adapter(),
    [absent, absent, absent] = read(router, Adapter, #{errors_total => -1,
                                                       backpressure_active_total => 1.5,
                                                       backpressure_active => maybe_so}),
    [1, 2, 1] = read(router, Adapter, #{errors_total => 1, backpressure_active_total => 2,
                                        backpressure_active => true}),
    [absent, absent, 0] = read(router, Adapter, #{backpressure_active => 0}).

the_longest_mailbox_of_the_named_processes_counts(_Config) ->
    Owner = self(),
    Pids = [spawn_link(fun() ->
                               register(Name, self()),
                               [self() ! filler || _ <- lists:seq(1, Length)],
                               Owner ! {self(), ready},
                               receive stop -> ok end
                       end) || {Name, Length} <- [{probed_one, 3}, {probed_two, 7}]],
    [receive {Pid, ready} -> ok end || Pid <- Pids],
    [7] = read(mailbox, named_adapter([probed_one, no_such_process, probed_two]), #{}),
    [Pid ! stop || Pid <- Pids].

resident_memory_is_what_the_kernel_says_elsewhere_too(_Config) ->
    {ok, Status} = file:read_file("/proc/self/status"),
    {match, [KiB]} = re:run(Status, "VmRSS:\\s+(\\d+) kB", [{capture, all_but_first, list}]),
    [Bytes] = read(rss, plain_adapter, none),
    % It changes between the readings, but not by a page size or a column of the file.
    Ratio = Bytes / (list_to_integer(KiB) * 1024),
    true = Ratio > 0.5 andalso Ratio < 2.

%% Adapters made for a test: the one names processes, the other answers its state as counters.
named_adapter(Names) ->
    compiled(named_adapter, lists:flatten(io_lib:format("processes(_) -> ~p.", [Names]))).

telling_adapter() ->
    compiled(telling_adapter, "counters(State) -> State.").

compiled(Module, Function) ->
    {ok, Tokens, _} = erl_scan:string(Function),
    {ok, Form} = erl_parse:parse_form(Tokens),
    {ok, Module, Code} = compile:forms([{attribute, 1, module, Module}, Form],
                                       [export_all, nowarn_export_all]),
    {module, Module} = code:load_binary(Module, "none", Code),
    Module.

%% The sampler

the_gated_probe_is_read_on_every_tick_and_at_both_ends(_Config) ->
    Adapter = compiled(signaling_adapter,
                       "counters(Pid) -> Pid ! sampled, #{errors_total => 1}."),
    Sampler = router_bench_sampler:start_link(Adapter, self(), 10),
    % Two stretches; between them nothing is read, and no time passes.
    LastedMs = [begin
                    BeganMs = erlang:monotonic_time(millisecond),
                    ok = router_bench_sampler:resume(Sampler),
                    [receive sampled -> ok end || _ <- lists:seq(1, 10)],
                    ok = router_bench_sampler:pause(Sampler),
                    EndedMs = erlang:monotonic_time(millisecond),
                    flush(),
                    receive sampled -> ct:fail(sampled_in_a_pause) after 100 -> ok end,
                    EndedMs - BeganMs + 1
                end || _ <- [1, 2]],
    #{series := Series, probes := Probes, lateness := #{ticks := Ticks}} =
        router_bench_sampler:stop(Sampler),
    [#{samples := Samples}] = [P || #{name := memory} = P <- Probes],
    Samples = Ticks + 4,
    [#{points := Points}] = [S || #{name := memory_total} = S <- Series],
    Samples = length(Points),
    Times = [T || {T, _} <- Points],
    true = Times =:= lists:sort(Times),
    true = lists:last(Times) =< lists:sum(LastedMs),
    true = length(lists:usort(Times)) < length(Times),
    [true = N =< Samples || #{samples := N} <- Probes],
    [#{samples := Rare}] = [P || #{name := rss} = P <- Probes],
    true = Rare < Samples,
    [#{points := Errors}] = [S || #{name := errors_total} = S <- Series],
    true = [1 || _ <- Points] =:= [Value || {_, Value} <- Errors].

flush() ->
    receive sampled -> flush() after 0 -> ok end.

a_stopped_sampler_leaves_nothing_behind(_Config) ->
    Sampler = router_bench_sampler:start_link(plain_adapter, none, ?NO_TICK_MS),
    ok = router_bench_sampler:resume(Sampler),
    ok = router_bench_sampler:pause(Sampler),
    {Monitor, _} = erlang:system_monitor(),
    Monitors = [monitor(process, Pid) || Pid <- [Sampler, Monitor]],
    #{lateness := #{ticks := 0}, probes := Probes} = router_bench_sampler:stop(Sampler),
    true = length(Probes) =:= length(router_bench_probes:table()),
    [2 = Samples || #{samples := Samples} <- Probes],
    [receive {'DOWN', Ref, process, _, normal} -> ok end || Ref <- Monitors],
    undefined = erlang:system_monitor(),
    undefined = erlang:statistics(scheduler_wall_time_all).

a_killed_sampler_leaves_nothing_behind(_Config) ->
    process_flag(trap_exit, true),
    _ = erlang:system_monitor(undefined),
    Sampler = router_bench_sampler:start_link(plain_adapter, none, ?NO_TICK_MS),
    {Monitor, _} = erlang:system_monitor(),
    false = Monitor =:= self(),
    Ref = monitor(process, Monitor),
    exit(Sampler, kill),
    receive {'EXIT', Sampler, killed} -> ok end,
    receive {'DOWN', Ref, process, Monitor, normal} -> ok end,
    undefined = erlang:system_monitor(),
    ok = wait_until(fun() -> erlang:statistics(scheduler_wall_time_all) =:= undefined end).

%% The receiver of the VM's events

own_the_events() ->
    _ = erlang:system_monitor(self(), [{long_gc, 3600000}, busy_port]),
    settings().

settings() ->
    {Pid, Options} = erlang:system_monitor(),
    {Pid, lists:sort(Options)}.

the_place_that_somebody_has_is_left_to_them_and_the_figures_are_absent(_Config) ->
    Holder = own_the_events(),
    Monitor = router_bench_monitor:start_link(),
    Holder = settings(),
    ok = router_bench_monitor:watch_collections(Monitor),
    Counts = router_bench_monitor:stop(Monitor),
    0 = map_size(Counts),
    Holder = settings(),
    Figures = router_bench_vm:figures((samples([]))#{events := Counts}, 10),
    [sampler] = maps:keys(Figures).

the_monitor_has_a_place_that_is_free_until_it_is_stopped(_Config) ->
    _ = erlang:system_monitor(undefined),
    Monitor = router_bench_monitor:start_link(),
    {Monitor, [{long_schedule, _}]} = settings(),
    ok = router_bench_monitor:watch_collections(Monitor),
    ok = wait_until(fun() -> length(element(2, settings())) =:= 2 end),
    {Monitor, [{long_gc, _}, {long_schedule, _}]} = settings(),
    #{long_gc := _, long_schedule := _} = router_bench_monitor:stop(Monitor),
    undefined = erlang:system_monitor().

whoever_took_the_place_of_the_monitor_keeps_it(_Config) ->
    Monitor = router_bench_monitor:start_link(),
    Taken = own_the_events(),
    ok = router_bench_monitor:watch_collections(Monitor),
    Counts = router_bench_monitor:stop(Monitor),
    0 = map_size(Counts),
    Taken = settings().

events_are_counted_and_other_messages_are_not(_Config) ->
    Monitor = router_bench_monitor:start_link(),
    Events = [{monitor, self(), Event, []}
              || Event <- [long_gc, long_schedule, long_gc, busy_port]],
    [Monitor ! Message || Message <- [surprise | Events]],
    #{long_gc := Collections, long_schedule := Schedulings} = router_bench_monitor:stop(Monitor),
    % The VM may have sent some of its own.
    true = Collections >= 2,
    true = Schedulings >= 1.

%% The pure parts

samples(Series) ->
    #{series => [#{name => Name, unit => Unit, points => Points} || {Name, Unit, Points} <- Series],
      probes => [], lateness => #{ticks => 0}, events => #{long_gc => 1, long_schedule => 2}}.

figures_are_those_worked_by_hand(_Config) ->
    Samples = samples(
                [{reductions, count, [{0, 500}, {100, 1500}]},
                 {garbage_collections, count, [{0, 10}, {100, 15}]},
                 {run_queue, count, [{0, 1}, {50, 0}, {100, 4}]},
                 {longest_mailbox, message, [{0, 3}, {100, 2}]},
                 {backpressure_active, flag, [{0, 0}, {50, 1}, {100, 1}, {200, 0}]},
                 {schedulers_normal_active, native, [{0, 0}, {50, 25}, {100, 100}]},
                 {schedulers_normal_total, native, [{0, 0}, {50, 100}, {100, 200}]}]),
    #{reductions_per_request := 50.0, garbage_collections_per_request := 0.25,
      run_queue := #{mean := 1.666667, max := 4}, longest_mailbox := 3,
      scheduler_utilization_pct := Utilization, long_gc := 1, long_schedule := 2,
      backpressure_active_ms := 100} = router_bench_vm:figures(Samples, 20),
    true = Utilization =:= #{normal => 50.0},
    Series = router_bench_vm:series(Samples),
    [#{time_ms := [50, 100], values := [250, 750], unit := per_mille}] =
        [S || #{name := scheduler_utilization_normal} = S <- Series],
    [] = [S || #{unit := native} = S <- Series].

what_passes_in_a_pause_counts_for_nothing(_Config) ->
    Samples = samples(
                [{reductions, count, [{0, 0}, {100, 1000}, {100, 901000}, {200, 902000}]},
                 {schedulers_normal_active, native, [{0, 0}, {50, 50}, {50, 51}, {100, 101}]},
                 {schedulers_normal_total, native, [{0, 0}, {50, 100}, {50, 9000}, {100, 9100}]}]),
    #{reductions_per_request := 100.0, scheduler_utilization_pct := #{normal := 50.0}} =
        router_bench_vm:figures(Samples, 20),
    [#{time_ms := [50, 100], values := [500, 500]}] =
        [S || #{name := scheduler_utilization_normal} = S <- router_bench_vm:series(Samples)].

a_long_series_is_thinned_evenly(_Config) ->
    Max = router_bench_vm:points_max(),
    [begin
         [#{time_ms := Times}] =
             router_bench_vm:series(samples([{rss, byte, [{T, T} || T <- lists:seq(1, Count)]}])),
         true = length(Times) =< Max,
         true = length(Times) > Max div 2 orelse length(Times) =:= Count,
         [_] = lists:usort([B - A || {A, B} <- lists:zip(lists:droplast(Times), tl(Times))])
     end || Count <- [2, Max, Max + 1, 5 * Max + 3]].

absent_stays_absent_in_figures_and_series(_Config) ->
    Figures = router_bench_vm:figures(samples([{rss, byte, []}, {reductions, count, []}]),
                                      20),
    [long_gc, long_schedule, sampler] = lists:sort(maps:keys(Figures)),
    [] = router_bench_vm:series(samples([{rss, byte, []}])),
    % Without requests there is no ratio, and none of a counter that went back.
    One = samples([{reductions, count, [{0, 5}, {1, 9}]}]),
    false = is_map_key(reductions_per_request, router_bench_vm:figures(One, 0)),
    Back = samples([{reductions, count, [{0, 9}, {1, 5}]}]),
    false = is_map_key(reductions_per_request, router_bench_vm:figures(Back, 1)).

%% Whole blocks

run(More) ->
    {ok, Report} = router_bench:run(
                     maps:merge(#{adapter => toy_adapter, blocks => 1, warmup_ms => 20,
                                  throughput_ms => 100, latency_ms => 200, rate_per_second => 2000, concurrency => 16,
                                  drain_timeout_ms => 300, sample_interval_ms => 10,
                                  quiet => true}, More)),
    {ok, _Json} = router_bench_nif:report_encode(Report), % the strict reader takes it
    Report.

the_report_has_the_figures_of_every_block(_Config) ->
    #{blocks := Blocks, series := Series} = run(#{blocks => 2}),
    [1, 2] = [N || #{block := N, vm := #{reductions_per_request := R,
                                         run_queue := _, longest_mailbox := _,
                                         scheduler_utilization_pct := #{normal := _, dirty := _},
                                         long_gc := _, long_schedule := _,
                                         sampler := #{lateness := #{ticks := T}, probes := P}}}
                       <- Blocks,
                   R > 0, T > 0, length(P) =:= length(router_bench_probes:table())],
    [true = lists:sort([N || #{name := Of, block := N} <- Series, Of =:= Name]) =:= [1, 2]
     || Name <- [memory_total, memory_ets, rss, run_queue, reductions, garbage_collections,
                 process_count, scheduler_utilization_normal, errors_total]],
    % The gated figure is the peak of all readings, of which the series keeps some.
    [true = Peak >= lists:max(Values) andalso Count >= length(Values)
     || #{block := N, memory := #{peak_bytes := Peak, samples := Count}} <- Blocks,
        #{name := memory_total, block := Of, values := Values} <- Series, Of =:= N].

%% What the gate makes its growth of.
a_planted_leak_is_in_the_series_of_its_class(_Config) ->
    #{series := Series} = run(#{fault => "leak_bytes=40"}),
    [Bytes] = [Values || #{name := memory_ets, values := Values} <- Series],
    true = lists:last(Bytes) > hd(Bytes).

time_in_backpressure_is_reported_only_by_an_adapter_that_tells(_Config) ->
    #{blocks := [#{vm := Silent}], series := Series} = run(#{}),
    false = is_map_key(backpressure_active_ms, Silent),
    [] = [S || #{name := backpressure_active} = S <- Series],
    #{blocks := [#{vm := Telling}]} = run(#{adapter => ref_router_adapter}),
    #{backpressure_active_ms := 0} = Telling.

wait_until(Condition) ->
    wait_until(Condition, erlang:monotonic_time(millisecond) + ?PATIENCE_MS).

wait_until(Condition, DeadlineMs) ->
    case Condition() of
        true ->
            ok;
        false ->
            true = erlang:monotonic_time(millisecond) < DeadlineMs,
            erlang:yield(),
            wait_until(Condition, DeadlineMs)
    end.
