-module(router_bench_nif_SUITE).

-export([all/0]).
-export([wrong_terms_are_badarg_and_the_vm_lives/1,
         no_sample_is_lost_on_all_schedulers_while_snapshots_are_taken/1,
         the_recorder_agrees_with_an_erlang_oracle/1,
         a_recorder_outlives_its_owner_and_goes_with_its_last_reference/1,
         an_empty_recorder_has_no_percentiles/1,
         quantiles_out_of_range_are_badarg/1,
         stop_gives_what_it_recorded/1,
         the_pacer_announces_every_arrival_in_turn/1,
         a_pacer_ends_with_its_owner/1,
         a_report_that_the_gate_would_refuse_is_not_written/1,
         a_term_that_is_no_json_is_badarg_however_deep/1]).

all() ->
    [F || {F, 1} <- ?MODULE:module_info(exports), F =/= module_info].

wrong_terms_are_badarg_and_the_vm_lives(_Config) ->
    Recorder = router_bench_nif:recorder_new(1),
    InFlight = router_bench_nif:in_flight_new(1),
    Port = hd(erlang:ports()),
    Wrong = [atom, "", [a | b], <<>>, <<1:3>>, {}, {1}, {1, 2}, {1, 2, 3}, #{}, #{a => b}, 1.5, -1,
             -(1 bsl 70), 1 bsl 63, 1 bsl 70, self(), Port, make_ref(), fun() -> ok end, Recorder,
             InFlight],
    Functions = [{stop, [recorder, ns]}, {record, [recorder, ns]}, {leave, [in_flight, worker]},
                 {recorder_new, [threads]}, {recorder_snapshot, [recorder]},
                 {recorder_quantiles, [recorder, quantiles]}, {in_flight_new, [threads]},
                 {in_flight_total, [in_flight]},
                 {pacer_start, [in_flight, recorder, pids, schedule, count, count]},
                 {pacer_stop, [pacer]}, {pacer_counts, [pacer]}, {hiccup_stop, [pacer]},
                 {report_encode, [report]}, {report_write, [path, report]}],
    Right = #{recorder => Recorder, in_flight => InFlight, ns => 1, worker => 0, threads => 1,
              quantiles => [0.5], pids => [self()], schedule => {constant, 0, 0, 1}, count => 1,
              pacer => none,
              report => #{}, path => <<"unused">>},
    Called = [begin
                  Good = [maps:get(K, Right) || K <- Kinds],
                  Arguments = lists:sublist(Good, Position - 1) ++ [Term]
                      ++ lists:nthtail(Position, Good),
                  try apply(router_bench_nif, Name, Arguments) of
                      Result -> ct:fail({Name, Arguments, Result})
                  catch
                      error:badarg -> ok
                  end
              end
              || {Name, Kinds} <- Functions,
                 {Position, Kind} <- lists:zip(lists:seq(1, length(Kinds)), Kinds),
                 Term <- Wrong, not is_right(Kind, Term, Recorder, InFlight)],
    true = length(Called) > 300,
    0 = maps:get(count, router_bench_nif:recorder_snapshot(Recorder)).

is_right(recorder, Term, Recorder, _) -> Term =:= Recorder;
is_right(in_flight, Term, _, InFlight) -> Term =:= InFlight;
is_right(quantiles, Term, _, _) -> Term =:= "";
is_right(pids, Term, _, _) -> Term =:= "";
is_right(report, Term, _, _) -> is_map(Term);
is_right(path, Term, _, _) -> is_binary(Term);
is_right(_, _, _, _) -> false.

no_sample_is_lost_on_all_schedulers_while_snapshots_are_taken(_Config) ->
    % One shard fewer than schedulers, so that the shared one is used too.
    Recorder = router_bench_nif:recorder_new(erlang:system_info(schedulers) - 1),
    Processes = 8,
    Records = 50000,
    Workers = [spawn_monitor(fun() -> record(Recorder, Base * Records, Records) end)
               || Base <- lists:seq(0, Processes - 1)],
    look_on(Recorder, Workers, 0),
    Total = Processes * Records,
    Mean = (Total - 1) div 2,
    Max = Total - 1,
    #{count := Total, mean_ns := Mean, min_ns := 0, max_ns := Max, clamped := 0,
      time_went_backwards := 0} = router_bench_nif:recorder_snapshot(Recorder).

record(_Recorder, _From, 0) -> ok;
record(Recorder, From, Left) ->
    _ = router_bench_nif:record(Recorder, From + Left - 1),
    record(Recorder, From, Left - 1).

look_on(_Recorder, [], _Seen) -> ok;
look_on(Recorder, Workers, Seen) ->
    #{count := Count} = router_bench_nif:recorder_snapshot(Recorder),
    true = Count >= Seen,
    receive
        {'DOWN', Monitor, process, Pid, normal} ->
            look_on(Recorder, Workers -- [{Pid, Monitor}], Count)
    after 0 -> look_on(Recorder, Workers, Count)
    end.

the_recorder_agrees_with_an_erlang_oracle(_Config) ->
    Seed = rand:seed(exsss),
    ct:log("seed ~p", [rand:export_seed_s(Seed)]),
    Times = [rand:uniform(1 bsl rand:uniform(36)) || _ <- lists:seq(1, 5000)] ++ [0, 60000000000],
    Recorder = router_bench_nif:recorder_new(1),
    lists:foreach(fun(Ns) -> Ns = router_bench_nif:record(Recorder, Ns) end, Times),
    Sorted = list_to_tuple(lists:sort([min(Ns, 60000000000) || Ns <- Times])),
    Quantiles = [0.0, 0.5, 0.9, 0.95, 0.99, 0.999, 1.0],
    Found = router_bench_nif:recorder_quantiles(Recorder, Quantiles),
    [begin
         Rank = max(1, ceil(Q * tuple_size(Sorted))),
         Exact = element(Rank, Sorted),
         true = Ns >= Exact andalso Ns =< Exact + Exact div 1000 + 1
     end || {Q, Ns} <- lists:zip(Quantiles, Found)],
    Count = length(Times),
    Clamped = length([Ns || Ns <- Times, Ns > 60000000000]),
    #{count := Count, clamped := Clamped} = router_bench_nif:recorder_snapshot(Recorder).

a_recorder_outlives_its_owner_and_goes_with_its_last_reference(_Config) ->
    Self = self(),
    {Owner, Monitor} = spawn_monitor(fun() -> Self ! {new, router_bench_nif:recorder_new(1)} end),
    Recorder = receive {new, R} -> R end,
    receive {'DOWN', Monitor, process, Owner, normal} -> ok end,
    7 = router_bench_nif:record(Recorder, 7),
    #{count := 1} = router_bench_nif:recorder_snapshot(Recorder),
    % 2,000 recorders of 432 KiB: over 800 MB if they stayed.
    Before = resident_kb(),
    lists:foreach(fun(_) ->
                          {Pid, M} = spawn_monitor(fun() -> router_bench_nif:recorder_new(1) end),
                          receive {'DOWN', M, process, Pid, normal} -> ok end
                  end, lists:seq(1, 2000)),
    Grown = resident_kb() - Before,
    true = Grown < 100000.

resident_kb() ->
    {ok, Status} = file:read_file("/proc/self/status"),
    {match, [Kb]} = re:run(Status, "VmRSS:\\s+(\\d+) kB", [{capture, all_but_first, binary}]),
    binary_to_integer(Kb).

an_empty_recorder_has_no_percentiles(_Config) ->
    Recorder = router_bench_nif:recorder_new(0),
    [] = router_bench_nif:recorder_quantiles(Recorder, [0.5]),
    Snapshot = router_bench_nif:recorder_snapshot(Recorder),
    [clamped, count, encoded, time_went_backwards] = lists:sort(maps:keys(Snapshot)).

quantiles_out_of_range_are_badarg(_Config) ->
    Recorder = router_bench_nif:recorder_new(1),
    [try router_bench_nif:recorder_quantiles(Recorder, [Q]) of
         Result -> ct:fail({Q, Result})
     catch
         error:badarg -> ok
     end || Q <- [-0.1, 1.1, 95, nan]].

stop_gives_what_it_recorded(_Config) ->
    Recorder = router_bench_nif:recorder_new(1),
    Elapsed = router_bench_nif:stop(Recorder, router_bench_nif:start()),
    #{count := 1, min_ns := Elapsed, max_ns := Elapsed} =
        router_bench_nif:recorder_snapshot(Recorder),
    % A start in the future is a clock that went backwards.
    0 = router_bench_nif:stop(Recorder, router_bench_nif:now() + 3600000000000),
    #{count := 1, time_went_backwards := 1} = router_bench_nif:recorder_snapshot(Recorder).

the_pacer_announces_every_arrival_in_turn(_Config) ->
    Self = self(),
    Workers = [spawn_link(fun() -> forward(Self, N) end) || N <- [0, 1, 2]],
    InFlight = router_bench_nif:in_flight_new(3),
    Start = router_bench_nif:now(),
    Lag = router_bench_nif:recorder_new(0),
    Schedule = {constant, 0, Start, 10000},
    Pacer = router_bench_nif:pacer_start(InFlight, Lag, Workers, Schedule, 300, 1000),
    Arrivals = lists:sort([receive {arrived, N, Ns} -> {Ns, N} end || _ <- lists:seq(1, 300)]),
    Arrivals = [{Start + I * 100000, I rem 3} || I <- lists:seq(0, 299)],
    receive pacer_finished -> ok end,
    #{offered := 300, skipped := 0} = router_bench_nif:pacer_counts(Pacer),
    #{count := 300} = router_bench_nif:recorder_snapshot(Lag),
    300 = router_bench_nif:in_flight_total(InFlight),
    0 = router_bench_nif:leave(InFlight, 0),
    299 = router_bench_nif:in_flight_total(InFlight),
    [begin unlink(W), exit(W, kill) end || W <- Workers].

forward(To, N) ->
    receive Ns when is_integer(Ns) -> To ! {arrived, N, Ns} end,
    forward(To, N).

a_pacer_ends_with_its_owner(_Config) ->
    Worker = spawn_link(fun() -> receive stop -> ok end end),
    Self = self(),
    {Owner, Monitor} =
        spawn_monitor(fun() ->
            InFlight = router_bench_nif:in_flight_new(1),
            Later = router_bench_nif:now() + 3600000000000,
            Lag = router_bench_nif:recorder_new(0),
            Pacer = router_bench_nif:pacer_start(InFlight, Lag, [Worker], {poisson, 0, Later, 1}, 1,
                                                 1),
            Self ! {pacer, Pacer},
            receive never -> ok end
        end),
    % Held here, so that it is the owner's end and not the last reference that ends the thread.
    Pacer = receive {pacer, P} -> P end,
    true = pacing_threads() > 0,
    exit(Owner, kill),
    receive {'DOWN', Monitor, process, Owner, killed} -> ok end,
    ok = wait_until(fun() -> pacing_threads() =:= 0 end, 500),
    #{offered := 0} = router_bench_nif:pacer_counts(Pacer),
    Worker ! stop.

%% Linux keeps 15 characters of a thread's name.
pacing_threads() ->
    Names = [file:read_file(F) || F <- filelib:wildcard("/proc/self/task/*/comm")],
    length([found || {ok, <<"router_bench_pa", _/binary>>} <- Names]).

wait_until(Condition, Tries) ->
    case Condition() of
        true -> ok;
        false when Tries > 0 -> timer:sleep(10), wait_until(Condition, Tries - 1);
        false -> timeout
    end.

a_report_that_the_gate_would_refuse_is_not_written(Config) ->
    Path = unicode:characters_to_binary(filename:join(proplists:get_value(priv_dir, Config), "r.json")),
    Good = #{timestamp => <<"2026-01-31T12:00:00Z">>, git => #{}, env => #{otp_release => <<"25">>},
             metrics => #{rps => 51200.5, errors_total => 0}, run => #{status => complete}},
    {ok, Json} = router_bench_nif:report_write(Path, Good),
    {ok, Json} = file:read_file(Path),
    [begin
         {error, Message} = router_bench_nif:report_write(Path, Bad),
         {match, _} = re:run(Message, Place),
         {ok, Json} = file:read_file(Path)
     end || {Bad, Place} <- [{Good#{metrics := #{rps => 0}}, "metrics.rps"},
                             {Good#{metrics := #{rps => -1}}, "metrics.rps"},
                             {Good#{metrics := #{rps => <<"5">>}}, "metrics.rps"},
                             {Good#{metrics := #{nonsense => 5}}, "nonsense"},
                             {Good#{env := #{otp_release => 25}}, "env.otp_release"},
                             {Good#{more => 1}, "more"},
                             {maps:remove(git, Good), "git"}]],
    {error, _} = router_bench_nif:report_write(<<"/proc/none/r.json">>, Good).

a_term_that_is_no_json_is_badarg_however_deep(_Config) ->
    Deep = lists:foldl(fun(_, Inner) -> [Inner] end, [], lists:seq(1, 1000000)),
    DeepMap = lists:foldl(fun(_, Inner) -> #{a => Inner} end, #{}, lists:seq(1, 100000)),
    [try router_bench_nif:report_encode(#{a => Term}) of
         Result -> ct:fail(Result)
     catch
         error:badarg -> ok
     end || Term <- [Deep, DeepMap, self(), make_ref(), {1, 2}, [1 | 2], 1 bsl 64, <<255>>, <<1:3>>,
                     fun() -> ok end, #{{} => 1}]].
