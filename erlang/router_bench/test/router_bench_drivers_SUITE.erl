%% A load that several nodes drive together, measured as one.
-module(router_bench_drivers_SUITE).

-export([all/0, suite/0]).
-export([drivers_together_offer_what_one_would/1,
         what_all_recorded_is_what_the_report_has/1,
         a_delay_of_the_router_is_in_every_figure_and_a_delay_that_is_none_in_none/1,
         sides_are_driven_by_the_same_beams/1,
         several_routers_are_counted_together_and_each_by_itself/1,
         a_driver_that_dies_ends_the_run_and_is_named/1,
         a_driver_that_stands_still_ends_the_run_and_is_killed/1,
         a_router_that_dies_under_drivers_ends_the_run/1,
         a_driver_that_cannot_connect_is_named/1,
         whoever_stands_still_before_the_load_is_named_long_before_the_runs_limit/1,
         a_driver_that_is_lost_is_told_by_its_place/1,
         a_module_that_does_not_say_how_to_start_is_named/1,
         what_of_the_load_is_left_open_the_drivers_find_together/1,
         a_driver_that_is_lost_while_the_load_is_looked_for_is_named/1,
         a_rate_is_found_by_all_drivers/1,
         a_trial_of_several_is_that_of_one_who_had_all_of_it/1,
         a_driver_may_have_no_share_of_a_small_load/1,
         shares_are_the_whole_and_no_more/1,
         the_rate_of_a_clock_is_told_and_its_time_never_matters/1,
         options_that_cannot_be_driven_are_refused/1,
         what_carries_requests_is_told/1,
         an_encrypted_router_refuses_whoever_is_not_of_the_run/1,
         no_cookie_is_read_nor_made_and_none_but_the_runs_own_is_taken/1,
         what_only_the_conductor_may_know_is_sent_to_nobody/1,
         nothing_is_left_behind/1]).

suite() ->
    [{timetrap, {minutes, 3}}].

all() ->
    [F || {F, 1} <- ?MODULE:module_info(exports), F =/= module_info].

options(More) ->
    maps:merge(#{adapter => driven_adapter, nodes => [local, local], blocks => 1, warmup_ms => 20,
                 throughput_ms => 60, latency_ms => 200, slice_ms => 20, rate_per_second => 1000,
                 concurrency => 3, drain_timeout_ms => 1000, quiet => true}, More).

run(More) ->
    router_bench:run(options(More)).

says(Text, Expected) ->
    case string:find(Text, Expected) of
        nomatch -> ct:fail({Expected, not_in, Text});
        _ -> true
    end.

drivers_together_offer_what_one_would(Config) ->
    Requests = fun(Name, Drivers) ->
        File = filename:join(proplists:get_value(priv_dir, Config), Name),
        {ok, #{blocks := [#{accounting := #{latency := #{offered := 200}}}]}} =
            run(#{nodes => Drivers, max_in_flight => 8, concurrency => 4, adapter_options => #{log => File}}),
        {ok, Text} = file:read_file(File),
        Lines = [string:split(Line, " ") || Line <- string:lexemes(binary_to_list(Text), "\n")],
        [{list_to_integer(N), OsPid} || [OsPid, N] <- Lines, N =/= "disconnected"]
    end,
    By = lists:usort(Requests("drivers_two.log", [local, local])),
    [OsPid, Other] = lists:usort([Pid || {_, Pid} <- By]),
    % Those of one are the even numbers, those of the other the odd ones, and together they are those of one.
    Parity = fun(Pid) -> lists:usort([N rem 2 || {N, Of} <- By, Of =:= Pid]) end,
    [[0], [1]] = lists:sort([Parity(OsPid), Parity(Other)]),
    Numbers = lists:usort([N || {N, _} <- Requests("drivers_one.log", [local])]),
    true = lists:all(fun(N) -> lists:member(N, Numbers) end, lists:seq(0, 7)),
    true = lists:all(fun(N) -> lists:keymember(N, 1, By) end, lists:seq(0, 7)).

what_all_recorded_is_what_the_report_has(_Config) ->
    {ok, #{blocks := [Block], load := #{drivers := 3, routers := 1}, env := #{distributed := true}}} =
        run(#{nodes => [local, local, local], blocks => 1}),
    #{accounting := #{throughput := Throughput, latency := #{ok := Ok} = Latency},
      latency := #{response_time := #{count := Ok}, service_time := #{count := Ok}, slices := #{ok := Slices}},
      nodes := #{drivers := [_, _, _] = Drivers, routers := [#{memory := Memory}]}, memory := Memory} = Block,
    Ok = lists:sum(Slices),
    [1, 2, 3] = [Number || #{driver := Number} <- Drivers],
    Sum = fun(Phase) ->
                  lists:foldl(fun(#{accounting := #{Phase := Of}}, Total) ->
                                      maps:map(fun(Key, Count) -> Count + maps:get(Key, Total, 0) end, Of)
                              end, #{}, Drivers)
          end,
    {Throughput, Latency} = {Sum(throughput), Sum(latency)},
    true = lists:all(fun(#{accounting := #{throughput := #{ok := Served}}}) -> Served > 0 end, Drivers).

%% By the clock, so the least that it can be is certain.
a_delay_of_the_router_is_in_every_figure_and_a_delay_that_is_none_in_none(_Config) ->
    {ok, #{blocks := [#{latency := #{service_time := #{p50_ns := P50, min_ns := Least}}}]}} =
        run(#{fault => {delay_us, 2000}, rate_per_second => 100}),
    true = P50 >= 2000000,
    true = Least >= 2000000.

sides_are_driven_by_the_same_beams(Config) ->
    Dir = proplists:get_value(priv_dir, Config),
    Log = filename:join(Dir, "drivers_sides.log"),
    Report = fun(Value) -> unicode:characters_to_binary([Dir, "/drivers_side_", Value, ".json"]) end,
    {ok, #{blocks := [_, _]}} =
        run(#{blocks => 2, adapter_options => #{log => Log},
              variants => #{option => <<"way">>,
                            values => [#{value => Value, report_file => Report(Value)}
                                       || Value <- [<<"one">>, <<"other">>]]}}),
    {ok, Text} = file:read_file(Log),
    Ended = [OsPid || Line <- string:lexemes(binary_to_list(Text), "\n"),
                      [OsPid, "disconnected"] <- [string:split(Line, " ")]],
    % Two drivers in each of two blocks, and each had both sides.
    8 = length(Ended),
    4 = length(lists:usort(Ended)).

several_routers_are_counted_together_and_each_by_itself(_Config) ->
    {ok, #{blocks := [#{memory := #{peak_bytes := Peak, samples := Samples},
                        nodes := #{routers := [#{router := 1, memory := #{peak_bytes := One}},
                                               #{router := 2, memory := #{peak_bytes := Other}}]}}],
           load := #{routers := 2}}} = run(#{routers => 2}),
    Peak = One + Other,
    true = Samples > 2.

a_driver_that_dies_ends_the_run_and_is_named(_Config) ->
    % After warming up, and in the middle of a block.
    {error, {failed, Text, #{run := #{status := failed}, blocks := []}}} =
        run(#{adapter_options => #{driver_dies_at => 16#1000000}}),
    true = says(Text, "driver "),
    true = says(Text, " of 2 (local), whose share of the load would be missing: its BEAM ended all at once"),
    nomatch = string:find(Text, "measured BEAM").

a_driver_that_stands_still_ends_the_run_and_is_killed(_Config) ->
    {error, {failed, Text, #{run := #{status := failed}}}} =
        run(#{adapter_options => #{driver_dies_at => {stands_still, 16#1000000}}, drain_timeout_ms => 100}),
    true = says(Text, "(local), whose share of the load would be missing: it stands still, or is cut off: no answer").

a_router_that_dies_under_drivers_ends_the_run(_Config) ->
    {error, {failed, Text, #{run := #{status := failed}}}} =
        run(#{adapter_options => #{halts_at => 16#1000000}}),
    true = says(Text, "block 1: ").

a_driver_that_cannot_connect_is_named(_Config) ->
    {error, {failed, Text, _}} = run(#{adapter_options => #{refuses => no_way}}),
    true = says(Text, "driver 1 of 2 (local)"),
    true = says(Text, "connect/2 of driven_adapter answered an error: no_way").

whoever_stands_still_before_the_load_is_named_long_before_the_runs_limit(_Config) ->
    Told = fun(Options) ->
                   {error, {failed, Text, #{run := #{status := failed}}}} =
                       run(#{adapter_options => Options, callback_timeout_ms => 100, control => false}),
                   nomatch = string:find(Text, "time limit"),
                   Text
           end,
    true = says(Told(#{connecting => stands_still}), "of 2 (local), whose share of the load would be missing: it stands "
                                                     "still, or is cut off: no answer in 11 s"),
    true = says(Told(#{connecting => hangs}), "connect/2 of driven_adapter did not return in 1 s"),
    true = says(Told(#{router_stands_still => true}), "router 1: it stands still, or is cut off: no answer in 11 s").

%% The program that reaches the BEAM is of this machine.
by_module(Argument, More) ->
    {error, {failed, Text, #{run := #{status := failed}}}} =
        run(maps:merge(#{nodes => [{odd_starter, Argument}], listen => {127, 0, 0, 1}, distribution => tcp,
                         control => false, callback_timeout_ms => 2000}, More)),
    true = says(Text, "driver 1 of 1 (odd_starter:" ++ Argument ++ "), whose share of the load would be missing: "),
    nomatch = string:find(Text, "measured BEAM"),
    Text.

a_driver_that_is_lost_is_told_by_its_place(_Config) ->
    true = says(by_module("erl", #{adapter_options => #{driver_dies_at => 16#1000000}}),
                "its BEAM ended or was killed, or the program did that reaches it, which start/1 of odd_starter names"),
    true = says(by_module("ends", #{}), "the program that start/1 of odd_starter names ended with 7"),
    Lost = fun(Place) -> router_bench_failure:sentence({driver, 1, 1, Place, {peer_died, normal}}) end,
    true = says(Lost(local), "something in it halted it, or it was killed"),
    true = says(Lost({ssh, <<"load1">>}), "the connection broke, of which ssh has said why").

a_module_that_does_not_say_how_to_start_is_named(_Config) ->
    true = says(by_module("hangs", #{}), "start/1 of odd_starter did not return in 2 s"),
    true = says(by_module("raises", #{}), "start/1 of odd_starter raised error:on_purpose"),
    true = says(by_module("answers nonsense", #{}), "start/1 of odd_starter answered erl, which its contract"),
    true = says(by_module("refuses", #{}), "odd_starter did not say how to start a BEAM there: not_today").

what_of_the_load_is_left_open_the_drivers_find_together(Config) ->
    File = filename:join(proplists:get_value(priv_dir, Config), "drivers_looking.log"),
    {ok, #{load := #{rate_per_second := Rate, concurrency := Workers, calibration_rps := Rps, drivers := 3},
           blocks := [#{nodes := #{drivers := [_, _, _]}}]}} =
        run(#{nodes => [local, local, local], rate_per_second => calibrate, concurrency => calibrate,
              adapter_options => #{disconnects => File}}),
    Rate = router_bench_calibration:rate(Rps),
    % It was doubled from the number of drivers on.
    true = Workers rem 3 =:= 0,
    % The drivers that looked for the load took their leave of the router, as those of the block did after them.
    {ok, Text} = file:read_file(File),
    Left = string:lexemes(binary_to_list(Text), "\n"),
    {6, 6} = {length(Left), length(lists:usort(Left))},
    {ok, #{load := #{concurrency := 4, rate_per_second := Found, calibration_rps := Served}}} =
        run(#{rate_per_second => calibrate, concurrency => 4}),
    Found = router_bench_calibration:rate(Served),
    {ok, #{load := #{concurrency := Needed, rate_per_second := 500}}} =
        run(#{rate_per_second => 500, concurrency => calibrate, variants =>
                  #{option => <<"way">>, values => [#{value => Way, report_file => none} || Way <- [<<"a">>, <<"b">>]]}}),
    true = Needed rem 2 =:= 0.

a_driver_that_is_lost_while_the_load_is_looked_for_is_named(_Config) ->
    {error, {failed, Text, #{blocks := []} = Report}} =
        run(#{concurrency => calibrate, adapter_options => #{driver_dies_at => 1}}),
    true = says(Text, "while the load was calibrated: driver "),
    false = is_map_key(load, Report).

a_rate_is_found_by_all_drivers(_Config) ->
    Find = fun(LimitUs) -> router_bench:find_rate(options(#{latency_ms => 50, p99_limit_us => LimitUs,
                                                            max_in_flight => 100000})) end,
    % None is answered within a microsecond, and all of these in a minute.
    {ok, #{rate_per_second := 0, trials := [#{rate_per_second := 100, passes := false, skipped := 0}]}} = Find(1),
    {ok, #{rate_per_second := Rate, trials := [#{rate_per_second := 100, passes := true, p99_us := P99Us} | _]}} =
        Find(60000000),
    true = Rate >= 100 andalso P99Us > 1.

a_trial_of_several_is_that_of_one_who_had_all_of_it(_Config) ->
    Part = fun(Times, DurationNs, Skipped) ->
                   Recorder = router_bench_nif:recorder_new(0),
                   _ = [router_bench_nif:record(Recorder, Ns) || Ns <- Times],
                   #{ok => length(Times), duration_ns => DurationNs, skipped => Skipped,
                     taken => #{response_time => router_bench_nif:recorder_take(Recorder)}}
           end,
    {Fast, Slow} = {lists:duplicate(95, 1000), lists:duplicate(5, 1000000)},
    One = router_bench_trials:together([Part(Fast ++ Slow, 9000, 3)]),
    #{ok := 100, duration_ns := 9000, skipped := 3, p99_ns := P99} = One,
    true = P99 >= 990000,
    One = router_bench_trials:together([Part(Fast, 7000, 1), Part(Slow, 9000, 2), Part([], 1, 0)]),
    Closed = fun(Ok, Ns) -> #{ok => Ok, duration_ns => Ns, skipped => 0, taken => #{service_time => <<>>}} end,
    #{ok := 30, duration_ns := 200, skipped := 0} = Together =
        router_bench_trials:together([Closed(10, 100), Closed(20, 200)]),
    false = is_map_key(p99_ns, Together),
    false = is_map_key(p99_ns, router_bench_trials:together([Part([], 1, 0)])).

a_driver_may_have_no_share_of_a_small_load(_Config) ->
    {ok, #{blocks := [#{accounting := #{latency := #{offered := 1, ok := 1}},
                        nodes := #{drivers := [#{accounting := #{latency := #{offered := 1}}},
                                               #{accounting := #{latency := #{offered := 0}}}]}}]}} =
        run(#{rate_per_second => 1, latency_ms => 50}).

shares_are_the_whole_and_no_more(_Config) ->
    [begin
         Shares = router_bench_share:all(Of),
         Count = lists:sum([router_bench_share:part(Count, Share) || Share <- Shares]),
         Numbers = lists:sort([router_bench_share:number(N, Share)
                               || Share <- Shares, N <- lists:seq(0, router_bench_share:part(Count, Share) - 1)]),
         Numbers = lists:seq(0, Count - 1)
     end || Of <- [1, 2, 3, 7, 64], Count <- [0, 1, 2, 63, 64, 65, 1000]].

the_rate_of_a_clock_is_told_and_its_time_never_matters(_Config) ->
    Second = 1000000000,
    [begin
         [{Ppm, Uncertainty}] = router_bench_drivers:rates([{Away, 0, 1000}],
                                                           [{Away + Elapsed, 10 * Second, 10 * Second + 3000}]),
         true = abs(Ppm - Expected) =< Uncertainty,
         true = Uncertainty < 1
     end || Away <- [0, 1 bsl 60], {Elapsed, Expected} <- [{10 * Second, 0}, {10 * Second + 10000000, 1000},
                                                          {10 * Second - 2000000, -200}]].

options_that_cannot_be_driven_are_refused(_Config) ->
    Refused = fun(More) ->
                      {error, Reason} = run(More),
                      router_bench_plan:message(Reason)
              end,
    true = says(Refused(#{nodes => [nowhere]}), "each local"),
    true = says(Refused(#{nodes => [{ssh, "builder"}]}), "the address of this machine at which ssh:builder reaches it"),
    true = says(Refused(#{listen => <<"192.0.2.1">>}), "an IPv4 address that this machine has"),
    true = says(Refused(#{nodes => [], routers => 2}), "nodes that drive them"),
    true = says(Refused(#{concurrency => 1}), "at least 2, one for each driver"),
    true = says(Refused(#{adapter => toy_adapter}), "does not export connect/2").

what_carries_requests_is_told(_Config) ->
    {ok, #{load := #{distribution := tcp}}} = run(#{}),
    {ok, #{load := #{distribution := tls, routers := 2}, env := #{vm_flags := Flags},
           blocks := [#{accounting := #{latency := #{offered := 200, error := 0, timeout := 0}}}]}} =
        run(#{distribution => tls, routers => 2}),
    nomatch = string:find(Flags, "tls"),
    [] = filelib:wildcard("/tmp/router_bench_tls.*").

an_encrypted_router_refuses_whoever_is_not_of_the_run(_Config) ->
    Cluster = router_bench_cluster:new(#{distribution => tls, listen => {127, 0, 0, 1}}),
    with_beam(Cluster, fun(Router) ->
        {ok, Reached} = router_bench_cluster:router(Cluster, {1, 1}, Router),
        Try = fun(Of, Number) ->
            with_beam(Of, fun(Driver) ->
                {ok, Node} = router_bench_cluster:driver(Of, Number, Driver),
                router_bench_cluster:introduce([Reached], Node, Driver)
            end)
        end,
        #{node := Node} = Reached,
        #{cookie := Cookie} = Stranger =
            router_bench_cluster:new(#{distribution => tls, listen => {127, 0, 0, 1}}),
        Refused = {error, {not_connected, Node}},
        ok = Try(Cluster, 1),
        Refused = Try(Cluster#{cookie := Cookie}, 2),
        Refused = Try(Stranger#{cookie := maps:get(cookie, Cluster)}, 3),
        Refused = Try(Cluster#{authority := none}, 4),
        % In the open nothing is said at all, and an old version of TLS is not spoken.
        {_, Port} = maps:get(address, Reached),
        {ok, _} = application:ensure_all_started(ssl),
        {error, _} = ssl:connect({127, 0, 0, 1}, Port, [{versions, ['tlsv1.1']}, {verify, verify_none}], 5000)
    end).

with_beam(Cluster, Work) ->
    {ok, Plan} = router_bench_plan:new(options(#{})),
    DeadlineMs = erlang:monotonic_time(millisecond) + 60000,
    {ok, Place} = router_bench_place:beam(Plan#{cluster := Cluster}, own, DeadlineMs),
    try Work(router_bench_place:caller(Place, DeadlineMs))
    after router_bench_place:stop(Place)
    end.

%% The node asks for its name when it listens already, and lets in whoever has the cookie that it has then.
no_cookie_is_read_nor_made_and_none_but_the_runs_own_is_taken(Config) ->
    Home = filename:join(proplists:get_value(priv_dir, Config), "drivers_home"),
    ok = filelib:ensure_path(Home),
    #{cookie := Cookie} = Cluster = router_bench_cluster:new(#{distribution => tcp, listen => {127, 0, 0, 1}}),
    with_home(Home, fun() ->
        with_beam(Cluster, fun(Router) ->
            {ok, Reached} = router_bench_cluster:router(Cluster, {1, 1}, Router),
            Cookie = Router(erlang, get_cookie, []),
            with_beam(Cluster, fun(Driver) ->
                {ok, Node} = router_bench_cluster:driver(Cluster, 1, Driver),
                Cookie = Driver(erlang, get_cookie, []),
                ok = router_bench_cluster:introduce([Reached], Node, Driver)
            end),
            % Registering alone makes it so, before any connection is taken.
            ok = Router(router_bench_names, admit, [another]),
            {ok, _} = Router(router_bench_names, register_node, [router_1_1, 1, inet]),
            another = Router(erlang, get_cookie, [])
        end)
    end),
    {ok, []} = file:list_dir(Home).

with_home(Home, Work) ->
    Before = os:getenv("HOME"),
    true = os:putenv("HOME", Home),
    try Work()
    after case Before of
              false -> os:unsetenv("HOME");
              _ -> os:putenv("HOME", Before)
          end
    end.

what_only_the_conductor_may_know_is_sent_to_nobody(_Config) ->
    {ok, #{cluster := #{cookie := Cookie, authority := #{key := Key}}} = Plan} =
        router_bench_plan:new(options(#{distribution => tls})),
    Sent = term_to_binary(router_bench_plan:sent(Plan)),
    [true = binary:match(term_to_binary(Plan), part(Secret)) =/= nomatch
         andalso binary:match(Sent, part(Secret)) =:= nomatch || Secret <- [Cookie, Key]].

%% What encodes a secret, without the version that comes first.
part(Secret) ->
    <<131, Encoded/binary>> = term_to_binary(Secret),
    Encoded.

nothing_is_left_behind(_Config) ->
    Mark = "ROUTER_BENCH_PEER=" ++ os:getpid() ++ ".",
    {ok, _} = run(#{}),
    {error, _} = run(#{adapter_options => #{driver_dies_at => 16#1000000}}),
    {error, _} = run(#{adapter_options => #{driver_dies_at => {stands_still, 16#1000000}}, drain_timeout_ms => 100}),
    [] = [File || File <- filelib:wildcard("/proc/[0-9]*/environ"), {ok, Environment} <- [file:read_file(File)],
                  binary:match(Environment, list_to_binary(Mark)) =/= nomatch],
    false = is_alive(),
    [] = [Name || Name <- registered(), lists:prefix("router_bench", atom_to_list(Name)),
                  Name =/= router_bench_sup].
