-module(router_bench_evidence_SUITE).

-export([all/0, suite/0]).
-export([a_meter_thread_ends_when_stopped_and_with_its_owner/1,
         a_meter_process_ends_when_stopped_and_with_its_owner_however_that_ends/1,
         both_meters_count_every_millisecond_however_late/1,
         fixed_work_takes_time/1,
         counters_are_read_as_the_kernel_writes_them/1,
         garbage_is_absence_and_no_crash/1,
         what_cannot_be_read_is_absent_and_not_zero/1,
         a_whole_reading_is_found_below_a_directory/1,
         growth_is_the_difference_and_a_counter_that_went_back_says_nothing/1,
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

-define(STAT, <<"cpu  300 10 60 800 20 5 4 30 0 0\ncpu0 1 2 3 4 5 6 7 8 9 10\nintr 5 0 1\n">>).
-define(SELF_STAT, <<"42 (a (b) 1 2) S 1 42 42 0 -1 4194560 9 9 9 9 150 50 7 7 20 0 9 0\n">>).
-define(CPU_STAT, <<"usage_usec 9\nnr_periods 8\nnr_throttled 3\nthrottled_usec 70000\n">>).
-define(PRESSURE, <<"some avg10=0.00 avg60=1.52 avg300=0.30 total=12345\n"
                    "full avg10=0.00 avg60=0.00 avg300=0.00 total=7\n">>).
-define(STATUS, <<"Name:\tbeam.smp\nvoluntary_ctxt_switches:\t11\n"
                  "nonvoluntary_ctxt_switches:\t4\n">>).

counters_are_read_as_the_kernel_writes_them(_Config) ->
    #{busy := 370, steal := 30, total := 1229} = router_bench_machine:cpu_ticks(?STAT),
    200 = router_bench_machine:own_ticks(?SELF_STAT),
    #{periods := 3, us := 70000} = router_bench_machine:throttling(?CPU_STAT),
    12345 = router_bench_machine:pressure_us(?PRESSURE),
    #{voluntary := 11, involuntary := 4} = router_bench_machine:context_switches(?STATUS),
    #{periods := 3, us := 70000} =
        router_bench_machine:throttling(<<"nr_throttled 3\nthrottled_time 70000999\n">>),
    [<<"a/b">>, <<"cpu/x">>, <<"cpu/x">>] =
        router_bench_machine:cpu_groups(<<"2:cpuacct:/y\n1:cpu:/x\n0::/a/b\n">>),
    [<<"cpu,cpuacct/x">>, <<"cpu/x">>] =
        router_bench_machine:cpu_groups(<<"1:cpu,cpuacct:/x\n">>),
    2400000 = router_bench_machine:count(<<"2400000\n">>).

garbage_is_absence_and_no_crash(_Config) ->
    Seed = rand:seed(exsss),
    ct:log("seed ~p", [rand:export_seed_s(Seed)]),
    Samples = [?STAT, ?SELF_STAT, ?CPU_STAT, ?PRESSURE, ?STATUS, <<"0::/a\n">>],
    Cut = [binary:part(Sample, 0, rand:uniform(byte_size(Sample)) - 1)
           || Sample <- Samples, _ <- lists:seq(1, 50)],
    Noise = [rand:bytes(rand:uniform(200)) || _ <- lists:seq(1, 200)],
    Wrong = [<<>>, <<"\n">>, <<255, 254, 0>>, <<"cpu">>, <<"cpu a b c d e f g h">>,
             <<"cpu -1 2 3 4 5 6 7 8">>, <<"cpu 1 2 3 4">>, <<")">>, <<"1 (x) S 1 2">>,
             <<"nr_throttled x\nthrottled_usec 1">>, <<"nr_throttled 1">>, <<"some total=">>,
             <<"some total=-1">>, <<"some total=1.5">>, <<"some total=", 255>>,
             <<"voluntary_ctxt_switches:\t1">>, <<"1e5">>, binary:copy(<<"9">>, 21), <<"1 2">>],
    Parsers = [fun router_bench_machine:cpu_ticks/1, fun router_bench_machine:own_ticks/1,
               fun router_bench_machine:throttling/1, fun router_bench_machine:pressure_us/1,
               fun router_bench_machine:context_switches/1, fun router_bench_machine:count/1],
    [absent = Parse(Text) || Parse <- Parsers, Text <- Wrong],
    [case Parse(Text) of
         absent -> ok;
         Count when is_integer(Count) -> ok;
         #{} -> ok
     end || Parse <- Parsers, Text <- Cut ++ Noise],
    [true = lists:all(fun is_binary/1, router_bench_machine:cpu_groups(Text))
     || Text <- Wrong ++ Cut ++ Noise].

what_cannot_be_read_is_absent_and_not_zero(Config) ->
    Nothing = router_bench_machine:read(filename:join(proplists:get_value(priv_dir, Config), "no")),
    0 = map_size(Nothing),
    0 = map_size(growth([{Nothing, Nothing}])),
    0 = map_size(growth([])),
    % Read once only: nothing to subtract from.
    Here = router_bench_machine:read(),
    0 = map_size(maps:without([frequency_after_khz], growth([{Nothing, Here}]))).

%% What the counters grew by in several stretches together.
growth(Stretches) ->
    router_bench_machine:figures(
      lists:foldl(fun({Before, After}, Sum) -> router_bench_machine:grown(Sum, Before, After) end,
                  router_bench_machine:no_growth(), Stretches)).

a_whole_reading_is_found_below_a_directory(Config) ->
    Root = filename:join(proplists:get_value(priv_dir, Config), "root"),
    [begin
         File = filename:join(Root, Path),
         ok = filelib:ensure_dir(File),
         ok = file:write_file(File, Text)
     end || {Path, Text} <- [{"proc/stat", ?STAT}, {"proc/self/stat", ?SELF_STAT},
                             {"proc/self/cgroup", <<"0::/a/b\n">>},
                             {"proc/pressure/cpu", ?PRESSURE},
                             {"proc/self/task/42/status", ?STATUS},
                             {"proc/self/task/43/status", ?STATUS},
                             {"proc/self/task/44/status", <<"ended while it was read">>},
                             {"sys/fs/cgroup/a/b/cpu.stat", ?CPU_STAT},
                             {"sys/devices/system/cpu/cpu0/cpufreq/scaling_cur_freq", <<"24\n">>}]],
    Switches = #{voluntary => 11, involuntary => 4},
    Expected = #{cpu => #{busy => 370, steal => 30, total => 1229}, own_ticks => 200,
                 throttling => #{periods => 3, us => 70000}, pressure_us => 12345,
                 switches => #{<<"42">> => Switches, <<"43">> => Switches}, frequency_khz => 24},
    Expected = router_bench_machine:read(Root),
    % The same with a version 1 group beside a version 2 group that accounts for nothing.
    ok = file:delete(filename:join(Root, "sys/fs/cgroup/a/b/cpu.stat")),
    ok = file:write_file(filename:join(Root, "proc/self/cgroup"), "3:cpu,cpuacct:/c\n0::/a/b\n"),
    Version1 = filename:join(Root, "sys/fs/cgroup/cpu,cpuacct/c/cpu.stat"),
    ok = filelib:ensure_dir(Version1),
    ok = file:write_file(Version1, "nr_periods 9\nnr_throttled 3\nthrottled_time 70000000\n"),
    Expected = router_bench_machine:read(Root).

growth_is_the_difference_and_a_counter_that_went_back_says_nothing(_Config) ->
    Switches = fun(V, I) -> #{voluntary => V, involuntary => I} end,
    Before = #{cpu => #{busy => 100, steal => 10, total => 1000}, own_ticks => 50,
               throttling => #{periods => 1, us => 100}, pressure_us => 5,
               switches => #{<<"1">> => Switches(10, 1), <<"ended">> => Switches(90, 90)},
               frequency_khz => 20},
    After = #{cpu => #{busy => 300, steal => 30, total => 1400}, own_ticks => 150,
              throttling => #{periods => 4, us => 900}, pressure_us => 25,
              switches => #{<<"1">> => Switches(15, 3), <<"new">> => Switches(7, 1)},
              frequency_khz => 10},
    Expected = #{steal_pct => 5.0, other_cpu_pct => 25.0, throttled_periods => 3,
                 throttled_us => 800, cpu_pressure_some_us => 20, voluntary_context_switches => 12,
                 involuntary_context_switches => 3, frequency_before_khz => 20,
                 frequency_after_khz => 10},
    Expected = growth([{Before, After}]),
    Back = growth([{After, Before}]),
    [false = is_map_key(Key, Back) || Key <- [steal_pct, other_cpu_pct, throttled_periods,
                                              throttled_us, cpu_pressure_some_us]],
    % The two books of the kernel may differ by a tick: never below 0.
    #{other_cpu_pct := Other} = growth([{Before, After#{own_ticks := 300}}]),
    true = Other == 0,
    % Stretches add up, and one in which a counter went back says nothing for all of them.
    #{steal_pct := 5.0, throttled_periods := 6, voluntary_context_switches := 24} =
        growth([{Before, After}, {Before, After}]),
    false = is_map_key(throttled_us, growth([{Before, After}, {After, Before}])).

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
