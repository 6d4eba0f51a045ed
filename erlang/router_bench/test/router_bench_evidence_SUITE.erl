-module(router_bench_evidence_SUITE).

-export([all/0, suite/0]).
-export([a_meter_thread_ends_when_stopped_and_with_its_owner/1,
         a_meter_process_ends_when_stopped_and_with_its_owner_however_that_ends/1,
         both_meters_count_every_millisecond_however_late/1,
         fixed_work_takes_time/1,
         the_machine_is_read_stretch_by_stretch/1,
         the_machine_has_a_kernel_and_a_processor/1,
         a_quiet_machine_is_not_disturbed/1,
         every_planted_disturbance_has_its_own_reason/1,
         a_figure_at_its_limit_is_no_disturbance/1,
         what_was_not_seen_is_no_reason/1,
         every_block_has_evidence_and_the_gate_knows_every_reason/1,
         the_table_names_disturbed_blocks_only/1]).

suite() ->
    [{timetrap, {minutes, 2}}].

all() ->
    [F || {F, 1} <- ?MODULE:module_info(exports), F =/= module_info].

%% Meters

a_meter_thread_ends_when_stopped_and_with_its_owner(_Config) ->
    0 = meter_threads(),
    Recorder = router_bench_nif:recorder_new(0),
    Stopped = router_bench_nif:hiccup_start(Recorder),
    % A thread gives itself its name.
    ok = wait_until(fun() -> meter_threads() =:= 1 end, 500),
    ok = router_bench_nif:hiccup_stop(Stopped),
    Snapshot = router_bench_nif:recorder_snapshot(Recorder),
    ok = wait_until(fun() -> meter_threads() =:= 0 end, 500),
    ok = router_bench_nif:hiccup_stop(Stopped),
    Snapshot = router_bench_nif:recorder_snapshot(Recorder),
    Self = self(),
    {Owner, Monitor} = spawn_monitor(fun() ->
                                             Self ! {meter, router_bench_nif:hiccup_start(Recorder)},
                                             receive never -> ok end
                                     end),
    % Held here, so that it is the owner's end and not the last reference that ends the thread.
    Held = receive {meter, M} -> M end,
    ok = wait_until(fun() -> meter_threads() =:= 1 end, 500),
    exit(Owner, kill),
    receive {'DOWN', Monitor, process, Owner, killed} -> ok end,
    ok = wait_until(fun() -> meter_threads() =:= 0 end, 500),
    ok = router_bench_nif:hiccup_stop(Held).

meter_threads() ->
    Names = [file:read_file(F) || F <- filelib:wildcard("/proc/self/task/*/comm")],
    length([found || {ok, <<"router_hiccup", _/binary>>} <- Names]).

wait_until(Condition, Tries) ->
    case Condition() of
        true -> ok;
        false when Tries > 0 -> timer:sleep(10), wait_until(Condition, Tries - 1);
        false -> timeout
    end.

a_meter_process_ends_when_stopped_and_with_its_owner_however_that_ends(_Config) ->
    Recorder = router_bench_nif:recorder_new(0),
    Meter = router_bench_hiccup:start_link(Recorder),
    Monitor = monitor(process, Meter),
    ok = router_bench_hiccup:stop(Meter),
    receive {'DOWN', Monitor, process, Meter, normal} -> ok end,
    Self = self(),
    [begin
         Owner = spawn(fun() ->
                               Self ! {meter, router_bench_hiccup:start_link(Recorder)},
                               receive go -> exit(Reason) end
                       end),
         Owned = receive {meter, M} -> M end,
         OwnedMonitor = monitor(process, Owned),
         Owner ! go,
         receive {'DOWN', OwnedMonitor, process, Owned, _} -> ok end
     end || Reason <- [normal, killed, {shutdown, reason}]].

both_meters_count_every_millisecond_however_late(_Config) ->
    BeforeNs = router_bench_nif:os_now(),
    Running = router_bench_evidence:resume(router_bench_evidence:open()),
    StartedNs = router_bench_nif:os_now(),
    receive after 100 -> ok end,
    StopNs = router_bench_nif:os_now(),
    Paused = router_bench_evidence:pause(Running),
    PausedNs = router_bench_nif:os_now(),
    % What passes while nothing is watched is not counted.
    receive after 500 -> ok end,
    #{hiccups := #{native := #{count := Native, max_ns := _}, beam := #{count := Beam}}} =
        router_bench_evidence:close(Paused),
    % The BEAM's grid is that of its own milliseconds.
    StepsMin = (StopNs - StartedNs) div 1000000 - 1,
    StepsMax = (PausedNs - BeforeNs) div 1000000 + 1,
    [true = Count >= StepsMin andalso Count =< StepsMax || Count <- [Native, Beam]].

fixed_work_takes_time(_Config) ->
    #{cpu_ns := Cpu, memory_ns := Memory} = router_bench_nif:kernels(),
    true = Cpu > 0 andalso Memory > 0.

%% Counters

the_machine_is_read_stretch_by_stretch(_Config) ->
    Counters = router_bench_nif:counters_new(),
    0 = map_size(router_bench_nif:counters_figures(Counters)),
    % An end without a beginning says nothing.
    ok = router_bench_nif:counters_pause(Counters),
    0 = map_size(router_bench_nif:counters_figures(Counters)),
    Stretch = fun() ->
                      ok = router_bench_nif:counters_resume(Counters),
                      _ = lists:seq(1, 100000),
                      ok = router_bench_nif:counters_pause(Counters),
                      router_bench_nif:counters_figures(Counters)
              end,
    #{voluntary_context_switches := First} = Stretch(),
    #{voluntary_context_switches := Both} = Stretch(),
    true = Both >= First.

the_machine_has_a_kernel_and_a_processor(_Config) ->
    #{kernel := <<"Linux ", _/binary>>, cpu_model := _, memory_total_mb := MB} =
        Machine = router_bench_nif:machine(),
    true = MB > 0,
    true = Machine =:= maps:with(maps:keys(Machine), router_bench_env:vm()),
    % Where the quota can be told at all.
    case Machine of
        #{cpu_quota := none, container_limits := Limits} -> false = is_map_key(cpu_max, Limits);
        #{cpu_quota := none} -> ok;
        #{cpu_quota := _} -> #{container_limits := #{cpu_max := _}} = Machine;
        #{} -> ok
    end.

%% Reasons

quiet() ->
    Meter = #{count => 6000, clamped => 0, time_went_backwards => 0, p999_ns => 1000000},
    Times = #{cpu_ns => 2500000, memory_ns => 2000000},
    #{hiccups => #{native => Meter, beam => Meter},
      machine => #{steal_pct => 0.0, other_cpu_pct => 1.5, throttled_periods => 0},
      kernels => #{before => Times, 'after' => Times},
      clock_drift_ppm => 12.5}.

a_quiet_machine_is_not_disturbed(_Config) ->
    [] = router_bench_disturbed:reasons(quiet()).

%% One planted value for each reason: at the limit of its rule times this.
planted(Factor) ->
    [{cpu_stolen, [{[machine, steal_pct], 1.0 * Factor}]},
     {other_cpu_load, [{[machine, other_cpu_pct], 10.0 * Factor}]},
     {cpu_throttled, [{[machine, throttled_periods], round(Factor) - 1}]},
     {host_stall, [{[hiccups, Where, p999_ns], round(10000000 * Factor)}
                   || Where <- [native, beam]]},
     {vm_stall, [{[hiccups, beam, p999_ns], round(1000000 + 10000000 * Factor)}]},
     {cpu_speed_changed, [{[kernels, 'after', cpu_ns], round(2500000 + 250000 * Factor)}]},
     {memory_speed_changed, [{[kernels, before, memory_ns], round(2000000 + 500000 * Factor)}]},
     {clock_drift, [{[clock_drift_ppm], 200.0 * Factor}]}].

plant(Changes) ->
    lists:foldl(fun({Path, Value}, Evidence) -> put_at(Path, Value, Evidence) end,
                quiet(), Changes).

put_at([Key], Value, Map) -> Map#{Key := Value};
put_at([Key | Path], Value, Map) -> Map#{Key := put_at(Path, Value, maps:get(Key, Map))}.

every_planted_disturbance_has_its_own_reason(_Config) ->
    [[Reason] = router_bench_disturbed:reasons(plant(Changes)) || {Reason, Changes} <- planted(2)],
    Planted = [Reason || {Reason, _} <- planted(2)],
    Planted = [element(1, Rule) || Rule <- router_bench_disturbed:rules()].

a_figure_at_its_limit_is_no_disturbance(_Config) ->
    [[] = router_bench_disturbed:reasons(plant(Changes)) || {_, Changes} <- planted(1)].

what_was_not_seen_is_no_reason(_Config) ->
    [] = router_bench_disturbed:reasons(#{}),
    [] = router_bench_disturbed:reasons(#{machine => #{}}),
    % A meter without a sample has no percentiles. Alone, a late BEAM does not say whose fault it
    % is.
    Late = #{count => 1, p999_ns => 90000000},
    [] = router_bench_disturbed:reasons(#{hiccups => #{native => #{count => 0}, beam => Late}}).

%% Reports

every_block_has_evidence_and_the_gate_knows_every_reason(_Config) ->
    {ok, #{blocks := Blocks} = Report} =
        router_bench:run(#{adapter => toy_adapter, blocks => 2, warmup_ms => 20,
                           throughput_ms => 50, latency_ms => 100, rate_per_second => 1000, concurrency => 4,
                           quiet => true}),
    2 = length(Blocks),
    [#{hiccups := #{native := #{count := _}, beam := #{count := _}}, machine := #{},
       kernels := #{before := #{}, 'after' := #{}}, clock_drift_ppm := _} = maps:get(evidence, Block)
     || Block <- Blocks],
    With = fun(Reasons) ->
                   Report#{blocks := [Block#{disturbed := Reasons} || Block <- Blocks]}
           end,
    All = [element(1, Rule) || Rule <- router_bench_disturbed:rules()],
    {ok, _} = router_bench_nif:report_encode(With(All)),
    {ok, _} = router_bench_nif:report_encode(With([])),
    {error, _} = router_bench_nif:report_encode(With([bad_luck])).

the_table_names_disturbed_blocks_only(_Config) ->
    Text = fun(Blocks) ->
                   Report = #{metrics => #{}, run => #{duration_ms => 5, status => complete},
                              blocks => Blocks},
                   unicode:characters_to_list(router_bench_table:format(Report))
           end,
    Blocks = [#{disturbed => [cpu_stolen, host_stall]}, #{disturbed => [host_stall]},
              #{disturbed => []}],
    {match, _} = re:run(Text(Blocks), "2 of 3 blocks: cpu_stolen in 1, host_stall in 2\n"),
    nomatch = re:run(Text([#{disturbed => []}]), "disturbed").
