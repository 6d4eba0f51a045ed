-module(router_bench_run_SUITE).

-export([all/0, suite/0]).
-export([every_request_is_accounted_for/1,
         a_dead_counter_fails_the_run_and_names_the_callback/1,
         the_routers_beam_has_the_projects_flags_and_the_report_says_so/1,
         the_commit_is_the_projects_and_not_the_adapters/1,
         an_adapter_without_controls_is_said_to_have_none/1,
         a_control_may_be_offered_for_one_counter_alone/1,
         the_transport_is_in_the_report_and_known_before_a_run/1,
         what_no_transport_can_be_called_fails_the_run_and_names_the_callback/1,
         a_run_has_one_transport/1,
         an_adapter_is_examined_and_what_is_wrong_is_said/1,
         what_the_environment_says_to_a_vm_does_not_reach_a_peer/1,
         the_warm_up_says_where_it_ended/1,
         poisson_arrivals_are_all_accounted_for/1,
         a_rate_left_open_is_calibrated_once_for_all_blocks/1,
         a_calibrated_rate_is_a_tenth_in_two_digits_up_to_a_limit/1,
         workers_are_doubled_until_throughput_grows_no_more/1,
         an_open_loop_left_open_lasts_as_long_as_its_p99_takes_or_the_run_says_the_setting/1,
         arrivals_beyond_the_most_in_flight_are_skipped_and_counted/1,
         a_failure_is_told_with_its_reason_and_a_sample/1,
         strays_are_counted_and_thrown_away/1,
         slow_requests_of_others_delay_no_arrival/1,
         a_rate_is_found_in_a_peer_that_is_gone_afterwards/1,
         a_counter_that_the_adapter_cannot_read_is_absent_not_zero/1,
         a_counter_that_fell_and_overtook_its_start_is_absent/1,
         an_error_is_no_success_and_no_latency_sample/1,
         what_the_router_rejects_is_no_error/1,
         the_report_says_that_samples_are_too_few/1,
         a_planted_fault_is_in_the_report/1,
         a_planted_stall_lets_requests_wait/1,
         a_planted_leak_grows_the_memory_and_a_planted_activation_is_counted/1,
         whoever_dies_ends_the_block_with_a_reason_and_a_report/1,
         a_worker_that_hangs_is_a_timeout_and_not_lost/1,
         a_worker_between_two_requests_at_the_deadline_is_no_timeout/1,
         a_request_that_is_counted_twice_or_lost_fails_the_run/1,
         an_adapter_that_does_not_start_is_a_failed_run/1,
         a_callback_that_does_not_return_is_named_with_its_limit/1,
         a_run_out_of_time_is_a_failed_run/1,
         a_run_whose_caller_is_killed_keeps_its_blocks_and_leaves_no_process/1,
         a_run_that_is_stopped_keeps_its_blocks_and_leaves_no_process/1,
         a_console_is_told_each_step_in_a_line_that_grows/1,
         a_report_that_cannot_be_written_ends_the_run_before_it_begins/1]).

suite() ->
    [{timetrap, {minutes, 3}}].

all() ->
    [F || {F, 1} <- ?MODULE:module_info(exports), F =/= module_info].

what_the_environment_says_to_a_vm_does_not_reach_a_peer(_Config) ->
    Release = erlang:system_info(otp_release),
    Flags = ["ERL_FLAGS", "ERL_AFLAGS", "ERL_ZFLAGS", "ERL_OTP" ++ Release ++ "_FLAGS"],
    Planted = [{Name, "+S 1:1 -planted " ++ Name} || Name <- Flags]
        ++ [{"ERL_LIBS", "/planted"}, {"ERL_FULLSWEEP_AFTER", "7"}, {"ERL_MAX_PORTS", "2048"},
            {"ERL_MAX_ETS_TABLES", "100000"}, {"ERL_THREAD_POOL_SIZE", "3"}],
    Facts = [{init, get_arguments, []}, {os, getenv, ["ERL_LIBS"]}, {code, get_path, []},
             {erlang, system_info, [schedulers]}, {erlang, system_info, [fullsweep_after]},
             {erlang, system_info, [port_limit]}, {erlang, system_info, [ets_limit]},
             {erlang, system_info, [thread_pool_size]}],
    Told = fun() ->
                   DeadlineMs = erlang:monotonic_time(millisecond) + 60000,
                   {ok, Plan} = router_bench_plan:new(options(#{})),
                   {ok, Peer} = router_bench_peer:start(Plan, own, DeadlineMs),
                   try [router_bench_peer:call(Peer, M, F, A, DeadlineMs) || {M, F, A} <- Facts]
                   after router_bench_peer:stop(Peer)
                   end
           end,
    Before = [{Name, os:getenv(Name)} || {Name, _} <- Planted],
    [true = os:unsetenv(Name) || {Name, _} <- Planted],
    try
        Clean = Told(),
        [true = os:putenv(Name, Value) || {Name, Value} <- Planted],
        Clean = Told(),
        % Each of them would have been seen.
        [true = os:unsetenv(Name) || {Name, _} <- Planted],
        Plain = told_by_a_peer_of_otp(Facts),
        [begin
             true = os:putenv(Name, Value),
             {Name, true} = {Name, told_by_a_peer_of_otp(Facts) =/= Plain},
             true = os:unsetenv(Name)
         end || {Name, Value} <- Planted]
    after
        [case Value of
             false -> os:unsetenv(Name);
             _ -> os:putenv(Name, Value)
         end || {Name, Value} <- Before]
    end.

%% What a peer says that the variables reach.
told_by_a_peer_of_otp(Facts) ->
    {ok, Peer, _} = peer:start_link(#{connection => standard_io}),
    try [peer:call(Peer, M, F, A) || {M, F, A} <- Facts]
    after peer:stop(Peer)
    end.

%% A block of half a second.
options(More) ->
    maps:merge(#{adapter => toy_adapter, blocks => 1, warmup_ms => 20, throughput_ms => 100,
                 latency_ms => 200, rate_per_second => 2000, concurrency => 16, drain_timeout_ms => 300,
                 quiet => true}, More).

run(More) ->
    Result = router_bench:run(options(More)),
    nothing_is_left(),
    Result.

toy(More) ->
    run(#{adapter_options => More}).

nothing_is_left() ->
    [] = peers().

%% The command lines of the peers that this VM has started. Linux lists children by thread.
peers() ->
    [Command || Command <- descendants(os:getpid()),
                re:run(Command, "-user\\x00peer\\x00") =/= nomatch].

descendants(Pid) ->
    Files = filelib:wildcard("/proc/" ++ Pid ++ "/task/*/children"),
    Children = string:lexemes(lists:append([content(File) || File <- Files]), " \n"),
    [content("/proc/" ++ Child ++ "/cmdline") || Child <- Children]
        ++ lists:append([descendants(Child) || Child <- Children]).

%% A process may end while it is looked at.
content(File) ->
    case file:read_file(File) of
        {ok, Content} -> binary_to_list(Content);
        {error, _} -> ""
    end.

every_request_is_accounted_for(_Config) ->
    {ok, #{accounting := #{throughput := Closed, latency := Open}, blocks := Blocks}} =
        run(#{blocks => 2}),
    2 = length(Blocks),
    #{offered := Offered, ok := Offered, error := 0, timeout := 0, rejected := 0, skipped := 0} =
        Closed,
    #{offered := 800, ok := 800, error := 0, timeout := 0, rejected := 0, skipped := 0} = Open,
    [#{latency := #{response_time := #{count := 400}, dispatch_lag := #{count := _},
                    service_time := #{count := 400}}} = _Block || _Block <- Blocks].

a_dead_counter_fails_the_run_and_names_the_callback(_Config) ->
    {ok, #{controls := #{errors_total := alive, backpressure_active_total := alive}}} = run(#{}),
    [begin
         {error, {failed, Reason, #{blocks := []}}} = toy(#{dead_counters => [Counter]}),
         {match, _} = re:run(Reason, "counters/1 of toy_adapter did not count the " ++ atom_to_list(Counter))
     end || Counter <- [errors_total, backpressure_active_total]],
    {error, {failed, Hidden, _}} = toy(#{hidden_counters => [errors_total]}),
    {match, _} = re:run(Hidden, "did not count the errors_total").

the_routers_beam_has_the_projects_flags_and_the_report_says_so(_Config) ->
    Given = ["+S", "1", "-router_bench_test", "as in production"],
    {ok, #{env := #{vm_flags := Flags, schedulers_online := 1}}} = run(#{erl_args => Given}),
    [{match, _} = re:run(Flags, Said)
     || Said <- ["^\\+sbwt none", " \\+S 1 ", "-router_bench_test as in production$"]],
    nomatch = re:run(Flags, "-pa|-boot"),
    {error, {failed, Reason, _}} = run(#{erl_args => ["+S", "many"]}),
    {match, _} = re:run(Reason, "no BEAM .peer. could be started with erl_args \\+S many").

the_commit_is_the_projects_and_not_the_adapters(Config) ->
    Project = filename:join(proplists:get_value(priv_dir, Config), "project"),
    ok = filelib:ensure_dir(filename:join(Project, "any")),
    ok = file:write_file(filename:join(Project, "router.erl"), "-module(router).\n"),
    Git = fun(Arguments) ->
                  string:trim(os:cmd("git -C '" ++ Project ++ "' -c user.name=A "
                                     "-c user.email=a@example.org " ++ Arguments))
          end,
    _ = [Git(Arguments) || Arguments <- ["init --quiet", "add .", "commit --quiet --message=begin"]],
    Commit = list_to_binary(Git("rev-parse HEAD")),
    {ok, #{git := #{commit := Commit, dirty := false}}} = run(#{project_dir => Project}),
    {ok, #{git := #{commit := Other}}} = run(#{}),
    true = Other =/= Commit.

an_adapter_without_controls_is_said_to_have_none(_Config) ->
    {ok, #{controls := #{errors_total := not_offered, backpressure_active_total := not_offered}}} =
        run(#{adapter => plain_adapter}).

a_control_may_be_offered_for_one_counter_alone(_Config) ->
    {ok, #{controls := #{errors_total := alive, backpressure_active_total := not_offered}}} =
        toy(#{not_offered => [backpressure_active_total]}).

says(Answer) ->
    #{adapter => bus_adapter, adapter_options => #{says => Answer}}.

the_transport_is_in_the_report_and_known_before_a_run(_Config) ->
    All = [transport, transport_server, transport_tls_cipher, transport_tls_version],
    Whole = #{name => <<"bus">>, server => <<"bus-server 1.2">>, tls_version => <<"TLSv1.3">>,
              tls_cipher => <<"TLS_AES_256_GCM_SHA384">>},
    [begin
         {ok, #{env := Env}} = run(says(Answer)),
         Expected = maps:with(All, Env),
         [true = lists:member(Text, maps:values(Answer)) || Text <- maps:values(Expected)],
         true = lists:sort(maps:keys(Expected)) =:= Parts,
         {ok, Plan} = router_bench_plan:new(options(says(Answer))),
         DeadlineMs = erlang:monotonic_time(millisecond) + 60000,
         {ok, Before} = router_bench_place:evaluate(Plan, own, {router_bench_env, of_plan, [Plan]}, DeadlineMs),
         Expected = maps:with(All, Before)
     end || {Answer, Parts} <-
                [{Whole, All},
                 {#{name => <<"bus">>}, [transport]},
                 {#{name => <<"local">>}, []}]],
    {ok, #{env := #{transport := <<"bus">>, transport_server := <<"bus-server 1.2">>,
                    transport_tls_version := <<"TLSv1.3">>,
                    transport_tls_cipher := <<"TLS_AES_256_GCM_SHA384">>}}} = run(says(Whole)),
    {ok, #{env := Local}} = run(#{}),
    [] = maps:keys(maps:with(All, Local)).

what_no_transport_can_be_called_fails_the_run_and_names_the_callback(_Config) ->
    [begin
         {error, {failed, Reason, #{blocks := []}}} = run(maps:merge(says(Answer), More)),
         {match, _} = re:run(Reason, ["transport/1 of bus_adapter ", Said])
     end || {Answer, More, Said} <-
                [{Answer, #{}, "answered .*which its contract does not know"}
                 || Answer <- [nats, #{}, #{server => <<"s">>}, #{name => "bus"}, #{name => <<>>},
                               #{name => <<255>>}, #{name => <<"b\n">>}, #{name => <<"b">>, port => <<"1">>},
                               #{name => <<"local">>, server => <<"s">>},
                               #{name => binary:copy(<<"b">>, 201)}]]
                ++ [{raises, #{}, "raised error:planned in bus_adapter:transport/1"},
                    {hangs, #{callback_timeout_ms => 1000}, "did not return in 1 s"}]].

a_run_has_one_transport(Config) ->
    File = filename:join(proplists:get_value(priv_dir, Config), "went_another_way"),
    {error, {failed, Reason, #{blocks := [_]}}} =
        run((says({another_after, File}))#{blocks => 3, control => false}),
    {match, _} = re:run(Reason, "block 2: transport/1 of the adapter names another transport").

an_adapter_is_examined_and_what_is_wrong_is_said(_Config) ->
    Examined = fun(More) ->
                       {ok, Plan} = router_bench_plan:new(options(More)),
                       DeadlineMs = erlang:monotonic_time(millisecond) + 60000,
                       {ok, Found} = router_bench_place:run(router_bench_doctor, Plan, DeadlineMs),
                       nothing_is_left(),
                       {[Text || #{verdict := wrong, text := Text} <- Found], Found}
               end,
    {[], Sound} = Examined(#{}),
    [] = [Text || #{verdict := note, text := Text} <- Sound],
    {[], Plain} = Examined(#{adapter => plain_adapter}),
    3 = length([Text || #{verdict := note, text := Text} <- Plain]),
    [begin
         {[Wrong], _} = Examined(More),
         {match, _} = re:run(Wrong, Said)
     end || {More, Said} <-
                [{#{adapter => hanging_adapter, callback_timeout_ms => 100},
                  "1 of 10 requests ended with timeout, the first with no answer in 100 ms"},
                 {#{adapter_options => #{init => {error, planned}}}, "init/1 of toy_adapter"},
                 {#{adapter_options => #{init => crash}}, "init/1 of toy_adapter"},
                 {#{adapter_options => #{hangs => init}, callback_timeout_ms => 100}, "init/1 of toy_adapter"},
                 {#{adapter_options => #{always => bad_return}}, "gave 10 times what it must not, the first surprise"},
                 {says(#{name => bus}), "transport/1 of bus_adapter answered"},
                 {says(raises), "transport/1 of bus_adapter raised"},
                 {#{adapter_options => #{always => raises}}, "10 of 10 requests ended with exception"},
                 {#{adapter_options => #{always => worker_dies}}, "10 of 10 requests ended with exception"},
                 {#{adapter_options => #{answer => {error, <<"n\no">>}}}, "10 of 10 requests ended with error"},
                 {#{adapter_options => #{dead_counters => [errors_total]}}, "did not count the errors_total"}]].

the_warm_up_says_where_it_ended(_Config) ->
    {ok, #{blocks := [#{warmup := #{steady := Steady, rps := Rates}}]}} = run(#{}),
    true = Steady orelse length(Rates) =:= 25,
    true = length(Rates) >= 5,
    true = router_bench_warmup:is_steady([100.0, 104.0, 98.0, 99.0, 5.0]),
    false = router_bench_warmup:is_steady([100.0, 120.0, 98.0, 99.0]),
    false = router_bench_warmup:is_steady([100.0, 100.0, 100.0]).

poisson_arrivals_are_all_accounted_for(_Config) ->
    {ok, #{accounting := #{latency := #{offered := 400, ok := 400}},
           load := #{arrivals := poisson, seed := 7}}} = run(#{arrivals => poisson, seed => 7}).

a_rate_left_open_is_calibrated_once_for_all_blocks(_Config) ->
    {ok, #{load := #{rate_per_second := Rate, calibration_rps := Rps}, blocks := [First, Second]}} =
        run(#{rate_per_second => calibrate, blocks => 2}),
    Rate = router_bench_calibration:rate(Rps),
    [#{accounting := #{latency := #{offered := Arrivals}}},
     #{accounting := #{latency := #{offered := Arrivals}}}] = [First, Second],
    % Of each slice's arrivals the last may come after its end.
    #{latency := #{slices := #{ok := Slices}}} = First,
    true = abs(Rate * 200 / 1000 - Arrivals) =< length(Slices),
    {ok, #{load := Given}} = run(#{}),
    false = is_map_key(calibration_rps, Given),
    % A run that fails before does not say a rate that it never had.
    {error, {failed, _, Failed}} = run(#{rate_per_second => calibrate, blocks => 2,
                                         adapter_options => #{dead_counters => [errors_total]}}),
    false = is_map_key(load, Failed).

a_calibrated_rate_is_a_tenth_in_two_digits_up_to_a_limit(_Config) ->
    [Rate = router_bench_calibration:rate(Rps)
     || {Rps, Rate} <- [{1.0e6, 20000}, {100000.0, 10000}, {99999.0, 9900}, {12345.0, 1200},
                        {999.0, 99}, {10.0, 1}, {0.5, 1}]].

workers_are_doubled_until_throughput_grows_no_more(_Config) ->
    Trials = fun(Serves) -> fun(Workers) -> {ok, Serves(Workers)} end end,
    % A processor for each of two, a router that sleeps, one that serves one after the other.
    {ok, 2} = router_bench_calibration:workers(1, Trials(fun(W) -> min(W, 2) * 1000 end)),
    {ok, 64} = router_bench_calibration:workers(1, Trials(fun(W) -> min(W * 500, 32000) end)),
    {ok, 1} = router_bench_calibration:workers(1, Trials(fun(_) -> 1000 end)),
    % Each driver has one at least.
    {ok, 3} = router_bench_calibration:workers(3, Trials(fun(_) -> 1000 end)),
    {ok, 48} = router_bench_calibration:workers(3, Trials(fun(W) -> min(W, 40) * 500 end)),
    {ok, 1024} = router_bench_calibration:workers(1, Trials(fun(W) -> W end)),
    {error, no} = router_bench_calibration:workers(1, fun(_) -> {error, no} end),
    {ok, #{load := #{concurrency := Workers}}} = run(#{concurrency => calibrate}),
    true = Workers >= 1.

an_open_loop_left_open_lasts_as_long_as_its_p99_takes_or_the_run_says_the_setting(_Config) ->
    4000 = router_bench_calibration:latency_ms(10000),
    true = router_bench_calibration:latency_ms(260) >= 20000 * 1000 div 260,
    {error, {failed, Reason, #{blocks := []}}} =
        run(#{latency_ms => calibrate, rate_per_second => 100, timeout_ms => 60000}),
    {match, _} = re:run(Reason, "at 100 arrivals/s is 210 s of open loop a block"),
    {match, _} = re:run(Reason, "set PERF_TIMEOUT_SECONDS=[0-9]+").

arrivals_beyond_the_most_in_flight_are_skipped_and_counted(_Config) ->
    {ok, #{accounting := #{latency := Latency}}} =
        run(#{adapter => hanging_adapter, max_in_flight => 3}),
    #{offered := 400, timeout := 3, skipped := 397, ok := 0} = Latency.

a_failure_is_told_with_its_reason_and_a_sample(_Config) ->
    {ok, #{blocks := [#{reasons := [Reason]}]} = Report} =
        toy(#{answer => {error, {no_route, <<"here">>}}}),
    #{outcome := error, reason := <<"no_route">>, sample := <<"{no_route,<<\"here\">>}">>} = Reason,
    {match, _} = re:run(router_bench_table:format(Report), "error: no_route, for example"),
    [begin
         {ok, #{blocks := [#{reasons := [Raised]}]}} =
             run(#{warmup_ms => 10, adapter_options => #{always => Mishap}}),
         #{outcome := error, reason := Kind, sample := Sample} = Raised,
         {match, _} = re:run(Sample, "planned in toy_adapter:happen/1")
     end || {Mishap, Kind} <- [{raises, <<"error:planned">>}, {throws, <<"throw:planned">>}]].

strays_are_counted_and_thrown_away(_Config) ->
    {ok, #{accounting := #{latency := #{ok := 400}}, blocks := [#{strays := Strays}]}} =
        run(#{adapter_options => #{always => stray}}),
    true = Strays >= 400,
    {ok, #{blocks := [#{strays := 0}]}} = run(#{}),
    % What the adapter takes is none.
    {ok, #{accounting := #{latency := #{ok := 400}}, blocks := [#{strays := 0}]}} =
        run(#{adapter_options => #{always => credit}}).

%% Every tenth request takes 100 ms; with a fixed worker for each arrival the others would wait.
slow_requests_of_others_delay_no_arrival(_Config) ->
    {ok, #{accounting := #{latency := #{ok := 400, skipped := 0}},
           blocks := [#{latency := #{response_time := #{p50_ns := P50, p99_ns := P99}}}]}} =
        run(#{adapter_options => #{always => {slow, 10, 100}}, warmup_ms => 10}),
    true = P50 < 100000000,
    true = P99 >= 100000000.

a_rate_is_found_in_a_peer_that_is_gone_afterwards(_Config) ->
    {ok, #{rate_per_second := Rate, trials := [_ | _]}} =
        router_bench:find_rate(options(#{latency_ms => 20, p99_limit_us => 60000000,
                                         max_in_flight => 100000})),
    nothing_is_left(),
    true = Rate > 0,
    {error, {unknown_option, limit}} = router_bench:find_rate(#{adapter => toy_adapter, limit => 1}).

a_counter_that_the_adapter_cannot_read_is_absent_not_zero(_Config) ->
    Hiding = fun(Counter) -> run(#{control => false,
                                   adapter_options => #{hidden_counters => [Counter]}}) end,
    {ok, #{metrics := Metrics}} = Hiding(errors_total),
    false = is_map_key(errors_total, Metrics),
    #{backpressure_active_total := 0} = Metrics,
    {ok, #{metrics := Other}} = Hiding(backpressure_active_total),
    false = is_map_key(backpressure_active_total, Other).

a_counter_that_fell_and_overtook_its_start_is_absent(_Config) ->
    {ok, #{blocks := [#{errors := Errors}], metrics := Metrics}} =
        run(#{control => false, adapter_options => #{restarts => true}}),
    false = is_map_key(router, Errors),
    false = is_map_key(errors_total, Metrics).

an_error_is_no_success_and_no_latency_sample(_Config) ->
    [begin
         {ok, #{metrics := Metrics, accounting := Accounting, blocks := [Block]}} =
             toy(#{answer => Answer}),
         #{throughput := #{offered := Closed, ok := 0, Outcome := Closed},
           latency := #{offered := 400, ok := 0, Outcome := 400}} = Accounting,
         [backpressure_active_total, errors_total, mem_mb_total_erlang] =
             lists:sort(maps:keys(Metrics)),
         Errors = Closed + 400,
         #{errors_total := Errors} = Metrics,
         #{latency := #{response_time := #{count := 0}},
           reasons := [#{outcome := Outcome, reason := Reason, count := Errors}]} = Block
     end || {Answer, Outcome, Reason} <- [{{error, planned}, error, <<"planned">>},
                                          {{error, timeout}, timeout, <<"timeout">>}]].

what_the_router_rejects_is_no_error(_Config) ->
    {ok, #{metrics := #{errors_total := 0} = Metrics, accounting := #{latency := Open}}} =
        toy(#{answer => {rejected, planned}}),
    false = is_map_key(rps, Metrics),
    #{offered := 400, rejected := 400, ok := 0} = Open.

the_report_says_that_samples_are_too_few(_Config) ->
    {ok, #{run := #{status := insufficient_samples, reason := Reason}}} = run(#{}),
    {match, _} = re:run(Reason, "400 successful requests").

a_planted_fault_is_in_the_report(_Config) ->
    {ok, #{run := #{planted_fault := <<"delay_us=3">>}}} = run(#{fault => "delay_us=3"}),
    {ok, #{run := Run}} = run(#{}),
    false = is_map_key(planted_fault, Run).

%% Whatever the machine does: the router stands still for half a second of every two, and in four
%% seconds such a stall begins while requests arrive or just before they do.
a_planted_stall_lets_requests_wait(_Config) ->
    {ok, #{blocks := [#{latency := #{response_time := #{max_ns := MaxNs}}}]}} =
        run(#{fault => "stall_ms=500", latency_ms => 4000, drain_timeout_ms => 5000}),
    true = MaxNs > 250_000_000.

%% How many requests the closed loop serves, and what a VM takes for itself, differs; the 400 of the open loop
%% leak 8 MB.
a_planted_leak_grows_the_memory_and_a_planted_activation_is_counted(_Config) ->
    {ok, #{metrics := #{mem_mb_total_erlang := Plain, backpressure_active_total := 0}}} = run(#{}),
    {ok, #{metrics := #{mem_mb_total_erlang := Leaking, errors_total := 0}}} =
        run(#{fault => "leak_bytes=20000"}),
    true = Leaking > Plain + 7,
    {ok, #{metrics := #{mem_mb_total_erlang := Holding, errors_total := 0}}} =
        run(#{fault => "hold_bytes=100000000"}),
    true = Holding > Plain + 90,
    {ok, #{metrics := #{backpressure_active_total := Activations, errors_total := 0}}} =
        run(#{fault => "backpressure=1"}),
    true = Activations > 0,
    {ok, #{metrics := #{errors_total := Errors, backpressure_active_total := 0}}} =
        run(#{fault => "error_ratio=0.1"}),
    true = Errors > 0.

whoever_dies_ends_the_block_with_a_reason_and_a_report(Config) ->
    [begin
         File = filename:join(proplists:get_value(priv_dir, Config), Name ++ ".json"),
         {error, {failed, Reason, Report}} = run(More#{report_file => File}),
         {Reason, {match, _}} = {Reason, re:run(Reason, Expected)},
         #{run := #{status := failed}, metrics := Metrics} = Report,
         0 = map_size(Metrics),
         {ok, Json} = file:read_file(File),
         {match, _} = re:run(Json, "\"status\": \"failed\"")
     end || {Name, More, Expected} <-
                [{"worker", mishap(worker_dies), "a worker of the load died of killed"},
                 {"adapter", mishap(bad_return), "route/2 of toy_adapter answered surprise"},
                 {"router", #{fault => "crash_after=100"}, "process toy_router died of killed"},
                 {"halt", mishap(halts), "BEAM .a peer of the bench. ended all at once"},
                 {"kill", mishap(os_kill), "BEAM .a peer of the bench. ended all at once"}]].

mishap(What) ->
    #{adapter_options => #{mishap => What, on => 100}}.

a_worker_that_hangs_is_a_timeout_and_not_lost(_Config) ->
    % Enough requests that the one which hangs is past the warm-up.
    {ok, #{accounting := #{throughput := Closed, latency := Open}, metrics := Metrics}} =
        run(#{adapter_options => #{mishap => worker_hangs, on => 1}, warmup_ms => 10}),
    {ok, Report} = run(#{adapter => hanging_adapter}),
    #{accounting := #{throughput := #{timeout := 16, ok := 0, offered := 16},
                      latency := #{timeout := 400, ok := 0, offered := 400}},
      blocks := [#{reasons := [#{reason := <<"never_answered">>, count := 416, sample := Sample}]}],
      metrics := #{errors_total := 416}} = Report,
    {match, _} = re:run(Sample, "in hanging_adapter:route/2"),
    0 = maps:get(timeout, Closed) + maps:get(timeout, Open) + maps:get(errors_total, Metrics).

%% Each of 4 workers sends one request, and never comes to its next one.
a_worker_between_two_requests_at_the_deadline_is_no_timeout(_Config) ->
    Workers = 4,
    Plan = #{share => {0, 1}, concurrency => Workers, max_in_flight => Workers, drain_timeout_ms => 10, seed => 1,
             rate_per_second => 100, arrivals => constant},
    Books = fun(Loop, More) ->
        {ok, Adapter} = toy_adapter:init(More#{unbuilt_from => Workers}),
        try
            Context = #{plan => Plan, adapter => toy_adapter, state => Adapter},
            {ok, #{accounting := Accounting, reasons := Reasons}} = Loop:run(Context, 500),
            {Accounting, Reasons}
        after toy_adapter:terminate(Adapter), unregistered(toy_router)
        end
    end,
    Trapped = process_flag(trap_exit, true),
    {#{offered := 4, ok := 4, timeout := 0}, []} = Books(router_bench_closed_loop, #{}),
    {#{offered := 4, ok := 3, timeout := 1}, [#{reason := <<"never_answered">>, sample := Where}]} =
        Books(router_bench_closed_loop, #{mishap => worker_hangs, on => 2}),
    {match, _} = re:run(Where, "toy_adapter"),
    % What is handed to a worker that does not take it waits, and is a timeout.
    {#{offered := 50, ok := Ok, timeout := Timeout, skipped := Skipped}, _} =
        Books(router_bench_open_loop, #{}),
    true = Ok > 0 andalso Ok =< Workers andalso Ok + Timeout + Skipped =:= 50,
    process_flag(trap_exit, Trapped).

unregistered(Name) ->
    case whereis(Name) of
        undefined -> ok;
        Pid ->
            Monitor = monitor(process, Pid),
            receive {'DOWN', Monitor, process, Pid, _} -> ok end
    end.

a_request_that_is_counted_twice_or_lost_fails_the_run(_Config) ->
    Tally = router_bench_outcome:new(),
    [ok = router_bench_outcome:sent(Tally) || _ <- lists:seq(1, 10)],
    % Of 10 sent, 5 answered: 5 may have been inside 5 workers, and never inside 4.
    [begin
         Abandoned = router_bench_outcome:unanswered(Tally, Ok, 0, Killed),
         {Ok, Killed, Result} =
             {Ok, Killed, element(1, router_bench_outcome:accounting(
                                       router_bench_outcome:counts(Tally), Ok, 0, Abandoned))}
     end || {Ok, Killed, Result} <- [{5, 5, ok}, {5, 9, ok}, {10, 9, ok}, {10, 0, ok},
                                     {5, 4, error}, {5, 0, error}, {11, 0, error},
                                     {11, 9, error}]].

an_adapter_that_does_not_start_is_a_failed_run(_Config) ->
    {error, {failed, Reason, _}} = toy(#{init => {error, planned}}),
    {match, _} = re:run(Reason, "init/1 of toy_adapter answered an error: planned"),
    {error, {failed, Crash, _}} = toy(#{init => crash}),
    {match, _} = re:run(Crash, "init/1 of toy_adapter raised error:planned in toy_adapter:init/1").

a_callback_that_does_not_return_is_named_with_its_limit(_Config) ->
    [begin
         {error, {failed, Reason, #{blocks := []}}} =
             run(#{callback_timeout_ms => 1000, adapter_options => #{hangs => Callback}}),
         Expected = io_lib:format("~s/~b of toy_adapter did not return in 1 s", [Callback, Arity]),
         {match, _} = re:run(Reason, Expected)
     end || {Callback, Arity} <- [{init, 1}, {control, 2}, {counters, 1}, {terminate, 1}]],
    {error, {failed, Sampled, _}} = run(#{adapter_options => #{hangs => sampled}}),
    {match, _} = re:run(Sampled, "the sampler did not answer in 5 s, in toy_adapter:counters/1, called "
                                 "by router_bench_probes:").

a_run_out_of_time_is_a_failed_run(_Config) ->
    {error, {failed, Reason, #{blocks := []}}} = run(#{timeout_ms => 1000, latency_ms => 60000}),
    {match, _} = re:run(Reason, "time limit was reached").

a_run_whose_caller_is_killed_keeps_its_blocks_and_leaves_no_process(Config) ->
    File = filename:join(proplists:get_value(priv_dir, Config), "killed.json"),
    Case = self(),
    {Runner, Monitor} = spawn_monitor(fun() -> router_bench:run(told(Case, File)) end),
    receive {measured, 1, _} -> ok end,
    exit(Runner, kill),
    receive {'DOWN', Monitor, process, Runner, killed} -> ok end,
    ok = wait_until(fun() -> whereis(router_bench_run) =:= undefined end, 3000),
    nothing_is_left(),
    is_interrupted(File).

a_run_that_is_stopped_keeps_its_blocks_and_leaves_no_process(Config) ->
    File = filename:join(proplists:get_value(priv_dir, Config), "stopped.json"),
    {error, not_running} = router_bench:stop(),
    Case = self(),
    [begin
         {Runner, Monitor} = spawn_monitor(fun() -> exit({ran, router_bench:run(told(Case, File))}) end),
         receive {step, #{activity := Activity, block := Block}} when Block >= After -> ok end,
         {error, already_running} = router_bench:run(options(#{})),
         ok = router_bench:stop(),
         nothing_is_left(),
         receive
             {'DOWN', Monitor, process, Runner, {ran, {error, {interrupted, Report}}}} ->
                 #{blocks := Blocks, run := #{status := interrupted, reason := Reason}} = Report,
                 true = length(Blocks) >= After - 1,
                 Expected = iolist_to_binary(io_lib:format("after ~b of 1000 blocks", [length(Blocks)])),
                 Reason = Expected
         end,
         is_interrupted(File),
         forget_told()
     end || {Activity, After} <- [{boot, 1}, {boot, 2}, {warm_up, 2}, {open_loop, 2}]],
    % What is stopped is over: the next run is a whole one.
    {ok, _} = run(#{}).

%% A run that goes on until it is stopped, and tells the case what it does.
told(Case, File) ->
    options(#{report_file => File, blocks => 1000, progress => fun(Event) -> Case ! Event end}).

forget_told() ->
    receive _ -> forget_told() after 0 -> ok end.

is_interrupted(File) ->
    {ok, Json} = file:read_file(File),
    {match, _} = re:run(Json, "\"status\": \"interrupted\"").

a_console_is_told_each_step_in_a_line_that_grows(_Config) ->
    Plan = options(#{blocks => 3}),
    Step = fun(Activity) -> {step, #{activity => Activity, block => 2, block_ms => 9700}} end,
    Figures = #{rps => 51200.4, latency_p95_ms => 0.1512, mem_mb_total_erlang => 25.54},
    Text = [router_bench_progress:text(Event, Plan)
            || Event <- [{step, #{activity => controls}}, {step, #{activity => calibration}},
                         {calibrated, #{rps => 180000.0, concurrency => 8, rate_per_second => 18000}},
                         Step(boot), Step(warm_up), Step(closed_loop), Step(open_loop), Step(stop),
                         {measured, 2, [{candidate, Figures}]}, {table, "\ntable\n"}]],
    "\ntrying the router's counters\nfinding the load\n"
    "calibration: 180,000/s with 8 workers, so 18,000 arrivals/s in the open loop\n"
    "block 2 of 3, 20 s left: boot, warm-up, closed loop, open loop, stop\n"
    "  51,200/s, p95 0.151 ms, p99 not measured, 25.5 MB\n"
    "table\n" = lists:flatten(Text).

wait_until(Condition, Tries) ->
    case Condition() of
        true -> ok;
        false when Tries > 0 -> timer:sleep(10), wait_until(Condition, Tries - 1);
        false -> timeout
    end.

a_report_that_cannot_be_written_ends_the_run_before_it_begins(_Config) ->
    {error, {not_written, _}} = run(#{report_file => "/proc/none/report.json"}).
