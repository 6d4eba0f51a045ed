-module(router_bench_nif_SUITE).

-export([all/0, suite/0]).
-export([wrong_terms_are_badarg_and_the_vm_lives/1,
         no_sample_is_lost_on_all_schedulers_while_snapshots_are_taken/1,
         the_recorder_agrees_with_an_erlang_oracle/1,
         every_sample_is_in_the_counter_where_an_erlang_recorder_has_it/1,
         a_hundred_thousand_recorders_come_and_go/1,
         a_recorder_outlives_its_owner_and_goes_with_its_last_reference/1,
         an_empty_recorder_has_no_percentiles/1,
         stop_gives_what_it_recorded/1,
         every_arrival_goes_to_a_worker_once_and_the_slices_add_up/1,
         a_sleeping_dispatcher_is_woken_and_its_thread_ends_with_it/1,
         a_waker_that_is_stopped_ends_however_close_its_arrivals_are/1,
         a_vm_that_halts_while_threads_run_ends_in_order/1,
         a_dirty_call_that_outlives_its_purged_module_writes_to_nothing_that_is_freed/1,
         a_library_that_is_refused_beside_another_leaves_that_as_it_is/1,
         values_and_threads_of_a_purged_module_are_refused_and_end/1,
         a_report_that_the_gate_would_refuse_is_not_written/1,
         a_summary_says_what_follows_from_blocks_and_believes_none_of_their_figures/1,
         what_is_no_request_is_refused_and_makes_no_atom/1,
         a_term_that_is_no_json_is_badarg_however_deep/1]).
%% In a VM of their own.
-export([purged_in_dirty_calls/0, refused_beside_another/0, purged_beside_threads/0]).

suite() ->
    [{timetrap, {minutes, 3}}].

all() ->
    [F || {F, 1} <- ?MODULE:module_info(exports), F =/= module_info].

wrong_terms_are_badarg_and_the_vm_lives(_Config) ->
    Recorder = router_bench_nif:recorder_new(1),
    Dispatch = router_bench_nif:dispatch_new(1, Recorder, Recorder, Recorder),
    Port = hd(erlang:ports()),
    Wrong = [atom, "", [a | b], [<<>> | b], <<>>, <<1:3>>, {}, {1}, {1, 2}, {1, 2, 3}, #{}, #{a => b}, 1.5, -1,
             -(1 bsl 70), 1 bsl 63, 1 bsl 70, self(), Port, make_ref(), fun() -> ok end, Recorder,
             Dispatch],
    Functions = [{stop, [recorder, ns]}, {record, [recorder, ns]}, {poll, [dispatch]},
                 {ready, [dispatch, worker]}, {answered, [dispatch, worker, ns, outcome]},
                 {recorder_new, [threads]}, {recorder_snapshot, [recorder]},
                 {recorder_slice, [recorder]}, {recorder_window, [recorder]},
                 {recorder_take, [recorder]}, {recorder_add, [recorder, taken]},
                 {dispatch_new, [threads, recorder, recorder, recorder]},
                 {dispatch_in_windows, [threads, recorder, recorder, recorder, windows]},
                 {dispatch_windows, [dispatch]},
                 {dispatch_begin, [dispatch, schedule, count]}, {dispatch_end, [thread]},
                 {dispatch_counts, [dispatch]}, {hiccup_start, [recorder]},
                 {hiccup_stop, [thread]}, {counters_resume, [thread]},
                 {counters_pause, [thread]}, {counters_figures, [thread]},
                 {report_summary, [blocks]}, {report_encode, [report]},
                 {report_write, [path, report]}],
    Right = #{recorder => Recorder, dispatch => Dispatch, ns => 1, worker => 0, threads => 1,
              outcome => 0, schedule => {constant, 0, 0, 1, {0, 1}}, windows => {1, 1}, count => 1,
              taken => [router_bench_nif:recorder_take(Recorder)], thread => none,
              blocks => [], report => #{}, path => <<"unused">>},
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
                 Term <- Wrong, not is_right(Kind, Term, Recorder, Dispatch)],
    true = length(Called) > 300,
    0 = maps:get(count, router_bench_nif:recorder_snapshot(Recorder)).

is_right(recorder, Term, Recorder, _) -> Term =:= Recorder;
is_right(dispatch, Term, _, Dispatch) -> Term =:= Dispatch;
is_right(blocks, Term, _, _) -> Term =:= [];
is_right(taken, Term, _, _) -> Term =:= [];
is_right(windows, Term, _, _) -> Term =:= {1, 2};
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

%% The same recorder in Erlang: a map from counter to count. The native one's counters are read from
%% what it exports, so every sample is compared, and the export with it.
every_sample_is_in_the_counter_where_an_erlang_recorder_has_it(_Config) ->
    Seed = rand:seed(exsss),
    ct:log("seed ~p", [rand:export_seed_s(Seed)]),
    Edges = lists:append([[(1 bsl Bits) - 1, 1 bsl Bits, (1 bsl Bits) + 1]
                          || Bits <- lists:seq(1, 35)]),
    Times = [0, 59999999999, 60000000000, 60000000001, (1 bsl 62)]
        ++ Edges ++ [rand:uniform(1 bsl rand:uniform(36)) || _ <- lists:seq(1, 20000)],
    Recorder = router_bench_nif:recorder_new(1),
    Oracle = lists:foldl(fun(Ns, Cells) ->
                                 Ns = router_bench_nif:record(Recorder, Ns),
                                 maps:update_with(oracle_cell(Ns), fun(N) -> N + 1 end, 1, Cells)
                         end, #{}, Times),
    #{encoded := Encoded, min_ns := 0, max_ns := 1 bsl 62} =
        router_bench_nif:recorder_snapshot(Recorder),
    Oracle = exported_cells(Encoded).

%% HdrHistogram's rule in its own words: buckets of 2048 sub-buckets, each bucket twice as wide as
%% the one before, whose lower half repeats it and is left out.
oracle_cell(Ns) ->
    oracle_cell(min(Ns, 60000000000), 0).

oracle_cell(Ns, Bucket) when (Ns bsr Bucket) >= 2048 -> oracle_cell(Ns, Bucket + 1);
oracle_cell(Ns, 0) -> Ns;
oracle_cell(Ns, Bucket) -> (Bucket + 1) * 1024 + (Ns bsr Bucket) - 1024.

%% HdrHistogram V2, compressed, base64: two cookies, a header of 40 bytes, the counts as ZigZag
%% LEB128 numbers, a negative one for that many empty counters.
exported_cells(Encoded) ->
    <<_Cookie:32, Length:32, Compressed:Length/binary>> = base64:decode(Encoded),
    <<_InnerCookie:32, Payload:32, _Offset:32, 3:32, _Lowest:64, _Highest:64, _Ratio:64,
      Counts:Payload/binary>> = zlib:uncompress(Compressed),
    exported_cells(Counts, 0, #{}).

exported_cells(<<>>, _Cell, Cells) ->
    Cells;
exported_cells(Counts, Cell, Cells) ->
    {ZigZag, Rest} = leb128(Counts, 0, 0),
    case (ZigZag bsr 1) bxor -(ZigZag band 1) of
        Empty when Empty < 0 -> exported_cells(Rest, Cell - Empty, Cells);
        0 -> exported_cells(Rest, Cell + 1, Cells);
        Count -> exported_cells(Rest, Cell + 1, Cells#{Cell => Count})
    end.

leb128(<<Byte, Rest/binary>>, 56, Number) -> {Number bor (Byte bsl 56), Rest};
leb128(<<1:1, Bits:7, Rest/binary>>, Shift, Number) ->
    leb128(Rest, Shift + 7, Number bor (Bits bsl Shift));
leb128(<<0:1, Bits:7, Rest/binary>>, Shift, Number) -> {Number bor (Bits bsl Shift), Rest}.

the_recorder_agrees_with_an_erlang_oracle(_Config) ->
    Seed = rand:seed(exsss),
    ct:log("seed ~p", [rand:export_seed_s(Seed)]),
    Times = [rand:uniform(1 bsl rand:uniform(36)) || _ <- lists:seq(1, 5000)] ++ [0, 60000000000],
    Recorder = router_bench_nif:recorder_new(1),
    lists:foreach(fun(Ns) -> Ns = router_bench_nif:record(Recorder, Ns) end, Times),
    Sorted = list_to_tuple(lists:sort([min(Ns, 60000000000) || Ns <- Times])),
    Count = length(Times),
    Clamped = length([Ns || Ns <- Times, Ns > 60000000000]),
    #{count := Count, clamped := Clamped} = Found = router_bench_nif:recorder_snapshot(Recorder),
    [begin
         Rank = max(1, ceil(Q * tuple_size(Sorted))),
         Exact = element(Rank, Sorted),
         Ns = maps:get(Key, Found),
         true = Ns >= Exact andalso Ns =< Exact + Exact div 1000 + 1
     end || {Q, Key} <- [{0.5, p50_ns}, {0.9, p90_ns}, {0.95, p95_ns}, {0.99, p99_ns},
                         {0.999, p999_ns}]].

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

%% Of 216 KiB each: 206 GB if they stayed. Each is written to, so that none is there in name only.
%% 100 bytes that each of them left would be seen.
a_hundred_thousand_recorders_come_and_go(_Config) ->
    {Pid, Monitor} = spawn_monitor(fun() ->
                                           ok = come_and_go(10000),
                                           Before = resident_kb(),
                                           ok = come_and_go(100000),
                                           exit({grown_kb, resident_kb() - Before})
                                   end),
    receive
        {'DOWN', Monitor, process, Pid, {grown_kb, Kb}} -> true = Kb < 50000
    end.

come_and_go(0) ->
    ok;
come_and_go(Left) ->
    Left = router_bench_nif:record(router_bench_nif:recorder_new(0), Left),
    come_and_go(Left - 1).

resident_kb() ->
    {ok, Status} = file:read_file("/proc/self/status"),
    {match, [Kb]} = re:run(Status, "VmRSS:\\s+(\\d+) kB", [{capture, all_but_first, binary}]),
    binary_to_integer(Kb).

an_empty_recorder_has_no_percentiles(_Config) ->
    Recorder = router_bench_nif:recorder_new(0),
    [clamped, count, time_went_backwards] =
        lists:sort(maps:keys(router_bench_nif:recorder_slice(Recorder))),
    Snapshot = router_bench_nif:recorder_snapshot(Recorder),
    [clamped, count, encoded, time_went_backwards] = lists:sort(maps:keys(Snapshot)).

stop_gives_what_it_recorded(_Config) ->
    Recorder = router_bench_nif:recorder_new(1),
    Elapsed = router_bench_nif:stop(Recorder, router_bench_nif:start()),
    #{count := 1, min_ns := Elapsed, max_ns := Elapsed} =
        router_bench_nif:recorder_snapshot(Recorder),
    % A start in the future is a clock that went backwards.
    0 = router_bench_nif:stop(Recorder, router_bench_nif:now() + 3600000000000),
    #{count := 1, time_went_backwards := 1} = router_bench_nif:recorder_snapshot(Recorder).

every_arrival_goes_to_a_worker_once_and_the_slices_add_up(_Config) ->
    process_flag(trap_exit, true),
    [Response, Service, Lag] = [router_bench_nif:recorder_new(4) || _ <- [1, 2, 3]],
    Dispatch = router_bench_nif:dispatch_new(64, Response, Service, Lag),
    Tally = router_bench_outcome:new(),
    Context = #{adapter => toy_adapter, state => #{planted => none, always => none, mishap => none, answer => ok,
                                                   gone => atomics:new(1, [])}},
    Dispatcher = router_bench_dispatcher:start_link(Context, Dispatch, Tally, 64, {0, 1}),
    Slices = [begin
                  Schedule = {Spacing, 1},
                  ok = router_bench_dispatcher:run(Dispatcher, Schedule, router_bench_nif:now(),
                                                   {Rate, Arrivals}, 5000),
                  receive {Dispatcher, finished, _} -> ok end,
                  #{offered := Arrivals, skipped := Skipped, error := 0, timeout := 0,
                    rejected := 0, in_flight := 0} = router_bench_nif:dispatch_counts(Dispatch),
                  #{count := Count} = router_bench_nif:recorder_slice(Response),
                  Arrivals = Count + Skipped,
                  Count
              end || {Spacing, Rate, Arrivals} <- [{constant, 1000, 30}, {constant, 10000, 300},
                                                   {poisson, 1000, 30}, {poisson, 50000, 1000},
                                                   {constant, 1000000, 5000}, {constant, 100, 1}]],
    Sum = lists:sum(Slices),
    #{count := Sum} = router_bench_nif:recorder_snapshot(Response),
    #{count := Sum} = router_bench_nif:recorder_snapshot(Service),
    #{count := Lagged} = router_bench_nif:recorder_snapshot(Lag),
    true = Lagged =< Sum,
    ok = router_bench_dispatcher:stop(Dispatcher),
    receive Unexpected -> ct:fail(Unexpected) after 0 -> ok end.

a_sleeping_dispatcher_is_woken_and_its_thread_ends_with_it(_Config) ->
    Self = self(),
    [Response, Service, Lag] = [router_bench_nif:recorder_new(0) || _ <- [1, 2, 3]],
    Dispatch = router_bench_nif:dispatch_new(1, Response, Service, Lag),
    {Owner, Monitor} =
        spawn_monitor(fun() ->
            % An arrival a second: two to be woken for, and then a long time until the third.
            Waker = router_bench_nif:dispatch_begin(Dispatch, {constant, 0, router_bench_nif:now(), 1, {0, 1}},
                                                    1000),
            -4 = router_bench_nif:poll(Dispatch),
            0 = router_bench_nif:ready(Dispatch, 0),
            0 = hand(Dispatch),
            0 = router_bench_nif:answered(Dispatch, 0, router_bench_nif:start(), 0),
            {slept, 0} = hand_and_say_if_slept(Dispatch, did_not_sleep),
            Self ! {waker, Waker},
            receive never -> ok end
        end),
    % Held here, so that it is the owner's end and not the last reference that ends the thread.
    Waker = receive
                {waker, W} -> W;
                {'DOWN', Monitor, process, Owner, Reason} -> ct:fail(Reason)
            end,
    true = waking_threads() > 0,
    exit(Owner, kill),
    receive {'DOWN', Monitor, process, Owner, killed} -> ok end,
    ok = wait_until(fun() -> waking_threads() =:= 0 end, 500),
    ok = router_bench_nif:dispatch_end(Waker).

%% Four billion arrivals that are over: nothing to sleep for, and much to go through.
a_waker_that_is_stopped_ends_however_close_its_arrivals_are(_Config) ->
    [Response, Service, Lag] = [router_bench_nif:recorder_new(0) || _ <- [1, 2, 3]],
    Dispatch = router_bench_nif:dispatch_new(1, Response, Service, Lag),
    Waker = router_bench_nif:dispatch_begin(Dispatch, {constant, 0, 0, 1000000, {0, 1}}, 16#FFFFFFFF),
    % A thread has its name when it runs, and not before.
    ok = wait_until(fun() -> waking_threads() > 0 end, 500),
    ok = router_bench_nif:dispatch_end(Waker),
    ok = wait_until(fun() -> waking_threads() =:= 0 end, 500).

hand(Dispatch) ->
    {_, Worker} = hand_and_say_if_slept(Dispatch, did_not_sleep),
    Worker.

%% A thread that is late to start wakes for an arrival that is over: the dispatcher asks, and sleeps on.
hand_and_say_if_slept(Dispatch, Slept) ->
    case router_bench_nif:poll(Dispatch) of
        -1 -> erlang:yield(), hand_and_say_if_slept(Dispatch, Slept);
        -3 -> receive wake -> hand_and_say_if_slept(Dispatch, slept) end;
        Other -> {Slept, Other}
    end.

%% Linux keeps 15 characters of a thread's name.
waking_threads() ->
    Names = [file:read_file(F) || F <- filelib:wildcard("/proc/self/task/*/comm")],
    length([found || {ok, <<"router_bench_wa", _/binary>>} <- Names]).

wait_until(Condition, Tries) ->
    case Condition() of
        true -> ok;
        false when Tries > 0 -> timer:sleep(10), wait_until(Condition, Tries - 1);
        false -> timeout
    end.

%% A waker in the middle of its sleep, and a meter; a crash would show as a signal.
a_vm_that_halts_while_threads_run_ends_in_order(_Config) ->
    Expression =
        "R = router_bench_nif:recorder_new(0),"
        " _ = router_bench_nif:hiccup_start(R),"
        " _ = router_bench_nif:dispatch_begin(router_bench_nif:dispatch_new(4, R, R, R),"
        " {constant, 0, router_bench_nif:now(), 1000, {0, 1}}, 100000000),"
        " timer:sleep(30), halt(7).",
    Erl = filename:join([code:root_dir(), "bin", "erl"]),
    Ebin = filename:dirname(code:which(router_bench_nif)),
    [begin
         Port = open_port({spawn_executable, Erl},
                          [{args, ["-noshell", "-pa", Ebin, "-eval", Expression]}, exit_status,
                           stderr_to_stdout, binary]),
         {7, <<>>} = output(Port, <<>>)
     end || _ <- lists:seq(1, 5)].

%% A value of a freed type damages the emulator's allocator: the VM takes it for one of the new type,
%% crashes, or stands still.
a_dirty_call_that_outlives_its_purged_module_writes_to_nothing_that_is_freed(_Config) ->
    in_a_vm(purged_in_dirty_calls).

purged_in_dirty_calls() ->
    Purges = [fun code:soft_purge/1, fun code:purge/1],
    [purged_in_dirty_calls(Purge, in_a_dirty_call()) || _ <- lists:seq(1, 40), Purge <- Purges],
    purged_in_dirty_calls(fun code:purge/1, in_dirty_calls()).

%% Whether a caller is killed is decided by when the emulator looks at it; one that is not has a value then.
purged_in_dirty_calls(Purge, Monitors) ->
    true = code:delete(router_bench_nif),
    _ = Purge(router_bench_nif),
    % Whatever is made now takes the place of what was freed.
    Taken = [ets:new(taken, []) || _ <- lists:seq(1, 50)],
    Ended = ends(Monitors),
    [true = ets:delete(Table) || Table <- Taken],
    _ = code:purge(router_bench_nif),
    {module, router_bench_nif} = code:ensure_loaded(router_bench_nif),
    [badarg = try router_bench_nif:record(Recorder, 7) catch error:Reason -> Reason end
     || {made, Recorder} <- Ended, is_reference(Recorder)],
    7 = router_bench_nif:record(router_bench_nif:recorder_new(1), 7),
    ok.

in_a_dirty_call() ->
    in_dirty_calls([{recorder_new, [1024]}]).

%% There is one scheduler for such: the second waits until the first, which takes 0.1 s, is done.
in_dirty_calls() ->
    in_dirty_calls([{kernels, []}, {recorder_new, [1]}]).

in_dirty_calls(Calls) ->
    [begin
         {Caller, Monitor} = spawn_monitor(fun() -> exit({made, apply(router_bench_nif, Name, Arguments)}) end),
         ok = is_inside(Caller, {router_bench_nif, Name, length(Arguments)}),
         Monitor
     end || {Name, Arguments} <- Calls].

is_inside(Caller, Function) ->
    case process_info(Caller, current_function) of
        {current_function, Function} -> ok;
        undefined -> ok;
        {current_function, _} ->
            erlang:yield(),
            is_inside(Caller, Function)
    end.

ends(Monitors) ->
    [receive {'DOWN', Monitor, process, _, Reason} -> Reason end || Monitor <- Monitors].

a_library_that_is_refused_beside_another_leaves_that_as_it_is(_Config) ->
    in_a_vm(refused_beside_another).

refused_beside_another() ->
    Monitors = in_dirty_calls(),
    true = code:delete(router_bench_nif),
    {error, on_load_failure} = code:ensure_loaded(router_bench_nif),
    [_, {made, Recorder}] = ends(Monitors),
    true = is_reference(Recorder),
    _ = code:purge(router_bench_nif),
    {module, router_bench_nif} = code:ensure_loaded(router_bench_nif),
    7 = router_bench_nif:record(router_bench_nif:recorder_new(1), 7),
    ok.

values_and_threads_of_a_purged_module_are_refused_and_end(_Config) ->
    in_a_vm(purged_beside_threads).

purged_beside_threads() ->
    Made = self(),
    {Owner, Monitor} =
        spawn_monitor(fun() ->
            Recorder = router_bench_nif:recorder_new(1),
            Dispatch = router_bench_nif:dispatch_new(1, Recorder, Recorder, Recorder),
            Schedule = {constant, 0, router_bench_nif:now(), 1000, {0, 1}},
            Threads = [router_bench_nif:dispatch_begin(Dispatch, Schedule, 100000000),
                       router_bench_nif:hiccup_start(Recorder)],
            Made ! {self(), Recorder, Threads},
            receive stop -> exit({threads, Threads}) end
        end),
    Recorder = receive {Owner, Of, _Threads} -> Of end,
    ok = threads_are(2),
    true = code:delete(router_bench_nif),
    _ = code:purge(router_bench_nif),
    {module, router_bench_nif} = code:ensure_loaded(router_bench_nif),
    badarg = try router_bench_nif:record(Recorder, 7) catch error:Reason -> Reason end,
    ok = threads_are(2),
    Owner ! stop,
    receive {'DOWN', Monitor, process, Owner, {threads, _}} -> ok end,
    threads_are(0).

%% A thread has its name, and ends, in its own time.
threads_are(Count) ->
    case length(threads()) of
        Count -> ok;
        _ ->
            erlang:yield(),
            threads_are(Count)
    end.

threads() ->
    [Name || File <- filelib:wildcard("/proc/self/task/*/comm"),
             {ok, <<"router_", _/binary>> = Name} <- [file:read_file(File)]].

in_a_vm(Function) ->
    Plan = #{node => [], cluster => none, erl_args => ["+S", "2", "+SDcpu", "1"]},
    DeadlineMs = erlang:monotonic_time(millisecond) + 120000,
    ok = router_bench_place:evaluate(Plan, own, {?MODULE, Function, []}, DeadlineMs).

output(Port, Text) ->
    receive
        {Port, {data, More}} -> output(Port, <<Text/binary, More/binary>>);
        {Port, {exit_status, Status}} -> {Status, Text}
    after 30000 -> ct:fail(no_end)
    end.

a_report_that_the_gate_would_refuse_is_not_written(Config) ->
    Path = unicode:characters_to_binary(filename:join(proplists:get_value(priv_dir, Config), "r.json")),
    Good = #{timestamp => <<"2026-01-31T12:00:00Z">>, git => #{}, env => #{otp_release => <<"25">>},
             metrics => #{rps => 51200.5, errors_total => 0}, run => #{status => complete}},
    ok = router_bench_nif:report_write(Path, Good),
    {ok, Json} = router_bench_nif:report_encode(Good),
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

%% What the gate checks a report with, here over blocks whose figures a person can tell.
a_summary_says_what_follows_from_blocks_and_believes_none_of_their_figures(_Config) ->
    Outcomes = fun(Ok, Error, Timeout) ->
                       #{offered => Ok + Error + Timeout, ok => Ok, error => Error,
                         timeout => Timeout, rejected => 0, skipped => 0}
               end,
    Times = fun(Count, P95Ns, P99Ns) ->
                    #{count => Count, clamped => 0, time_went_backwards => 0, p95_ns => P95Ns,
                      p99_ns => P99Ns}
            end,
    Block = fun(N, Ok, LagNs) ->
                    #{block => N, metrics => #{rps => 1},
                      accounting => #{throughput => Outcomes(300, 1, 0),
                                      latency => Outcomes(Ok, 0, 2)},
                      throughput => #{duration_ns => 3, service_time => Times(300, 1, 1),
                                      slices => #{ok => [100, 200],
                                                  duration_ns => [1000000, 1000000]}},
                      latency => #{duration_ns => 5,
                                   slices => #{ok => [1, Ok - 2, 1],
                                               p95_ns => [N, 1500000, 3000000],
                                               p99_ns => [9000000, N, 2500000]},
                                   response_time => Times(Ok, 100, 1000),
                                   service_time => Times(Ok, 1, 1),
                                   dispatch_lag => Times(Ok, 1, LagNs)},
                      memory => #{samples => 1, min_bytes => 1, peak_bytes => N * 1048576,
                                  end_bytes => 1},
                      errors => #{router => 4 * N - 4}, backpressure => #{router => N}}
            end,
    {ok, Summary} = router_bench_nif:report_summary([Block(1, 20000, 666), Block(2, 20000, 666)]),
    #{blocks := [#{metrics := First, driver_errors := 3}, #{metrics := Second}],
      metrics := Metrics, spread_pct := Spread, status := <<"complete">>,
      accounting := #{throughput := #{offered := 602, ok := 600, error := 2},
                      latency := #{offered := 40004, ok := 40000, timeout := 4}}} = Summary,
    false = is_map_key(reason, Summary),
    true = First == #{rps => 150000, latency_p95_ms => 1.5, latency_p99_ms => 2.5,
                      mem_mb_total_erlang => 1, errors_total => 3,
                      backpressure_active_total => 1},
    true = Second == First#{mem_mb_total_erlang := 2, errors_total := 4,
                            backpressure_active_total := 2},
    true = Metrics == First#{mem_mb_total_erlang := 1.5, errors_total := 7,
                             backpressure_active_total := 3},
    true = Spread == #{rps => 0, latency_p95_ms => 0, latency_p99_ms => 0,
                       mem_mb_total_erlang => 47.140452079},
    {ok, #{status := <<"insufficient_samples">>,
           reason := <<"19999 successful requests in the open loop of a block; a p99 takes 20000">>}} =
        router_bench_nif:report_summary([Block(1, 20000, 900), Block(2, 19999, 900)]),
    {ok, #{status := <<"generator_limited">>,
           reason := <<"the load generator's own lateness is 75 % of the p99">>}} =
        router_bench_nif:report_summary([Block(1, 20000, 600), Block(2, 20000, 900)]),
    % What cannot be counted has no figure, and the headline has none that a block does not have.
    {ok, #{blocks := [_, #{metrics := Blind}], metrics := Common}} =
        router_bench_nif:report_summary([Block(1, 20000, 1), (Block(2, 20000, 1))#{errors := #{}}]),
    [false, false] = [is_map_key(errors_total, Of) || Of <- [Blind, Common]],
    {ok, #{blocks := [], status := <<"complete">>}} = router_bench_nif:report_summary([]),
    {error, Message} = router_bench_nif:report_summary([Block(2, 20000, 1)]),
    {match, _} = re:run(Message, "block 1 by its place"),
    {error, _} = router_bench_nif:report_summary([#{}]).

what_is_no_request_is_refused_and_makes_no_atom(_Config) ->
    Plan = <<"\"adapter\": \"toy\", \"blocks\": 3, \"timeout_ms\": 5, \"report_file\": \"x\"">>,
    {ok, #{<<"measure">> := #{<<"adapter">> := <<"toy">>, <<"blocks">> := 3}}} =
        router_bench_nif:request_decode(<<"{\"measure\": {", Plan/binary, "}}">>),
    {ok, <<"go_on">>} = router_bench_nif:request_decode(<<"\"go_on\"">>),
    Atoms = erlang:system_info(atom_count),
    [{error, _} = router_bench_nif:request_decode(Bad)
     || Bad <- [<<>>, <<"{}">>, <<"\"go\"">>, <<"null">>, <<255>>, binary:copy(<<"[">>, 100000),
                <<"{\"measure\": {}}">>,
                <<"{\"measure\": {", Plan/binary, ", \"an_unknown_key_of_a_request\": 1}}">>,
                <<"{\"measure\": {", Plan/binary, ", \"keys\": \"zipf\"}}">>,
                <<"{\"measure\": {", (binary:replace(Plan, <<"toy">>, <<"../toy">>))/binary, "}}">>]
            ++ [rand:bytes(N) || N <- lists:seq(1, 200)]],
    Atoms = erlang:system_info(atom_count),
    {ok, _} = router_bench_nif:event_encode(#{block => 3}),
    {ok, _} = router_bench_nif:event_encode(ended),
    [{error, _} = router_bench_nif:event_encode(Bad) || Bad <- [#{}, other, #{block => -1}, [], 1]],
    [try router_bench_nif:event_encode(Bad) of Answer -> ct:fail(Answer) catch error:badarg -> ok end
     || Bad <- [self(), {a}, #{block => {1}}]].

a_term_that_is_no_json_is_badarg_however_deep(_Config) ->
    Deep = lists:foldl(fun(_, Inner) -> [Inner] end, [], lists:seq(1, 1000000)),
    DeepMap = lists:foldl(fun(_, Inner) -> #{a => Inner} end, #{}, lists:seq(1, 100000)),
    [try router_bench_nif:report_encode(#{a => Term}) of
         Result -> ct:fail(Result)
     catch
         error:badarg -> ok
     end || Term <- [Deep, DeepMap, self(), make_ref(), {1, 2}, [1 | 2], 1 bsl 64, <<255>>, <<1:3>>,
                     fun() -> ok end, #{{} => 1}]].
