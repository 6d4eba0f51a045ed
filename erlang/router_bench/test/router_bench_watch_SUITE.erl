%% Traffic that a node has anyway: what is recorded of it, what is not, what reaches the router of that, and
%% what is left behind.
-module(router_bench_watch_SUITE).

-export([all/0, suite/0, init_per_testcase/2, end_per_testcase/2]).
-export([a_span_is_timed_by_its_own_duration/1,
         what_a_span_ends_with_decides_what_it_counts_as/1,
         nested_spans_are_requests_of_their_own/1,
         interleaved_spans_of_one_process_are_told_apart/1,
         a_request_counts_in_the_window_that_it_began_in/1,
         a_process_that_dies_in_a_span_leaves_a_request_without_an_answer/1,
         a_source_of_ends_alone_counts_what_it_sees/1,
         an_exception_in_recording_is_counted_and_reaches_nobody/1,
         a_router_goes_on_when_whoever_records_has_gone_in_mid_request/1,
         two_calls_do_nothing_while_nobody_watches/1,
         two_calls_take_whatever_they_are_given/1,
         requests_of_many_processes_are_each_counted_once/1,
         a_watch_of_calls_balances_and_says_that_the_load_is_not_the_benchs/1,
         a_watch_of_spans_says_why_requests_failed_and_what_recording_cost/1,
         a_watch_without_traffic_measures_nothing_and_says_so/1,
         an_adapter_is_told_that_the_node_runs_and_is_never_asked_to_end_it/1,
         an_adapter_that_fails_fails_the_watch_before_it_records/1,
         a_stopped_watch_keeps_its_windows_and_leaves_nothing/1,
         a_killed_caller_leaves_a_report_and_nothing_else/1,
         a_killed_watch_leaves_nothing_recorded/1,
         a_handler_that_somebody_detached_fails_the_watch/1,
         a_watch_and_a_run_do_not_measure_each_other/1,
         a_node_without_telemetry_says_so/1,
         wrong_options_are_named/1]).

-define(PREFIX, [toy, router, route]).
-define(PATIENCE_MS, 20000).

suite() ->
    [{timetrap, {minutes, 2}}].

all() ->
    [F || {F, 1} <- ?MODULE:module_info(exports), F =/= module_info].

init_per_testcase(_Case, Config) ->
    ok = telemetry:start(),
    [{left_ok, left()} | Config].

%% Whatever a test did: no handler, no persistent term, no process, no flag is left.
end_per_testcase(_Case, Config) ->
    true = ets:delete(telemetry_handler_table),
    Before = proplists:get_value(left_ok, Config),
    until(fun() -> #{processes := Now} = Left = left(),
                   #{processes := Then} = Before,
                   Left#{processes := []} =:= Before#{processes := []} andalso Now -- Then =:= []
          end).

left() ->
    #{processes => processes(), persistent => persistent_term:get(router_bench_mark, none),
      monitor => erlang:system_monitor(), registered => whereis(router_bench_run),
      flag => erlang:statistics(scheduler_wall_time)}.

%% Recording

a_span_is_timed_by_its_own_duration(_Config) ->
    Recording = attached(),
    Native = erlang:convert_time_unit(3, millisecond, native),
    Start = erlang:monotonic_time(),
    ok = event(start, #{monotonic_time => Start}, #{}),
    ok = event(stop, #{monotonic_time => Start + Native, duration => Native}, #{}),
    % Without its own time, it is taken to be now.
    ok = event(start, #{}, #{}),
    ok = event(stop, #{duration => 0}, #{}),
    ok = closed(Recording),
    #{started := 2, ended := 2, failed := 0} = router_bench_recording:counts(Recording),
    {#{count := 2, max_ns := Max}, []} = router_bench_recording:window(Recording, 0),
    % To three significant digits.
    true = abs(Max - 3000000) =< 3000.

what_a_span_ends_with_decides_what_it_counts_as(_Config) ->
    Recording = attached(),
    Ends = [{#{}, ok}, {#{result => {ok, here}}, ok}, {#{result => whatever}, ok}, {#{error => nil}, ok},
            {#{error => undefined}, ok},
            {#{result => {error, no_route}}, error}, {#{error => no_route}, error},
            {#{result => error}, error}, {#{result => {error, timeout}}, timeout},
            {#{result => rejected}, rejected}, {#{result => {rejected, full}}, rejected}],
    [telemetry:span(?PREFIX, #{}, fun() -> {done, Metadata} end) || {Metadata, _} <- Ends],
    [{'EXIT', _} = (catch telemetry:span(?PREFIX, #{}, fun() -> erlang:raise(Class, Reason, []) end))
     || {Class, Reason} <- [{error, badarg}, {exit, {timeout, {gen_server, call, []}}}, {exit, gone}]],
    thrown = (catch telemetry:span(?PREFIX, #{}, fun() -> throw(thrown) end)),
    ok = closed(Recording),
    Number = fun(What) -> length([E || {_, Of} = E <- Ends, Of =:= What]) end,
    Counts = router_bench_recording:counts(Recording),
    {#{count := Ok}, Reasons} = router_bench_recording:window(Recording, 0),
    Ok = Number(ok),
    #{error := Errors, timeout := Timeouts, rejected := Rejected, failed := 0} = Counts,
    {Errors, Timeouts, Rejected} = {Number(error) + 3, Number(timeout) + 1, Number(rejected)},
    Of = fun(Outcome) -> lists:sum([C || #{outcome := O, count := C} <- Reasons, O =:= Outcome]) end,
    {Errors, Timeouts, Rejected} = {Of(error), Of(timeout), Of(rejected)},
    [_] = [R || #{reason := <<"error:badarg">>, count := 1} = R <- Reasons].

nested_spans_are_requests_of_their_own(_Config) ->
    Recording = attached(),
    inner = telemetry:span(?PREFIX, #{}, fun() ->
        {telemetry:span(?PREFIX, #{}, fun() -> {inner, #{result => {error, inner}}} end), #{}}
    end),
    ok = closed(Recording),
    #{started := 2, ended := 2, error := 1} = router_bench_recording:counts(Recording).

interleaved_spans_of_one_process_are_told_apart(_Config) ->
    Recording = attached(),
    Start = erlang:monotonic_time(),
    Native = fun(Ms) -> erlang:convert_time_unit(Ms, millisecond, native) end,
    Event = fun(What, AtMs, Measurements, Context) ->
                    event(What, Measurements#{monotonic_time => Start + Native(AtMs)},
                          #{telemetry_span_context => Context})
            end,
    [A, B, C] = [make_ref() || _ <- [1, 2, 3]],
    ok = Event(start, 0, #{}, A),
    ok = Event(start, 1, #{}, B),
    ok = Event(start, 2, #{}, C),
    ok = Event(stop, 12, #{duration => Native(11)}, B),
    ok = Event(exception, 30, #{duration => Native(28)}, C),
    ok = Event(stop, 40, #{duration => Native(40)}, A),
    % Nothing of it stays in a process of the router.
    [] = [K || {K, _} <- get(), is_tuple(K) orelse K =:= router_bench_recording],
    ok = closed(Recording),
    #{started := 3, ended := 3, error := 1} = router_bench_recording:counts(Recording),
    {#{count := 2, min_ns := Min, max_ns := Max}, _} = router_bench_recording:window(Recording, 0),
    true = abs(Min - 11000000) =< 11000 andalso abs(Max - 40000000) =< 40000.

a_request_counts_in_the_window_that_it_began_in(_Config) ->
    Recording = router_bench_recording:new(calls),
    none = router_bench_recording:started(Recording),
    ok = router_bench_recording:open(Recording),
    [A, B, C] = [router_bench_recording:started(Recording) || _ <- [1, 2, 3]],
    ok = router_bench_recording:ended(Recording, A, ok),
    Length = router_bench_recording:close(Recording),
    true = Length > 0,
    % Who begins now is of no window; who began before still is, until the books are closed.
    none = router_bench_recording:started(Recording),
    ok = router_bench_recording:ended(Recording, B, {ok, late}),
    ok = router_bench_recording:forget(Recording),
    ok = router_bench_recording:ended(Recording, C, ok),
    #{started := 3, ended := 2} = router_bench_recording:counts(Recording),
    {#{count := 2}, []} = router_bench_recording:window(Recording, 0),
    % Nor is one of a window before of the next.
    ok = router_bench_recording:open(Recording),
    ok = router_bench_recording:ended(Recording, C, ok),
    D = router_bench_recording:started(Recording),
    ok = router_bench_recording:ended(Recording, D, ok),
    ok = closed(Recording),
    #{started := 4, ended := 3} = router_bench_recording:counts(Recording),
    {#{count := 1}, []} = router_bench_recording:window(Recording, 0).

a_process_that_dies_in_a_span_leaves_a_request_without_an_answer(_Config) ->
    Test = self(),
    Watch = watch(#{spans => [?PREFIX], window_ms => 300, blocks => 1, drain_timeout_ms => 50}),
    Dying = dying(Test),
    {ok, #{blocks := [#{accounting := #{traffic := Traffic}, reasons := Reasons}]}} = result(Watch),
    exit(Dying, kill),
    #{ok := 0, error := 0, timeout := Unanswered, offered := Unanswered} = Traffic,
    true = Unanswered > 0,
    [#{outcome := timeout, reason := <<"never_answered">>, count := Unanswered}] = Reasons.

%% Processes that are killed in a span, one after the other.
dying(Test) ->
    spawn(fun() -> die_again(Test) end).

die_again(Test) ->
    {_, Monitor} = spawn_monitor(fun() ->
        telemetry:span(?PREFIX, #{}, fun() -> exit(self(), kill), receive never -> {ok, #{}} end end)
    end),
    receive {'DOWN', Monitor, process, _, killed} -> timer:sleep(1) end,
    die_again(Test).

a_source_of_ends_alone_counts_what_it_sees(_Config) ->
    Watch = watch(#{spans => [?PREFIX], window_ms => 300, blocks => 1}),
    Traffic = traffic(fun() -> event(stop, #{duration => 1000}, #{}) end),
    {ok, Report} = result(Watch),
    stop(Traffic),
    #{blocks := [#{accounting := #{traffic := #{offered := Seen, ok := Seen}},
                   traffic := #{started := 0}}]} = Report,
    true = Seen > 0.

an_exception_in_recording_is_counted_and_reaches_nobody(_Config) ->
    Recording = attached(fun(#{answer := raise}) -> error(planted);
                            (_) -> ok
                         end),
    Malformed = [{stop, #{}, #{}}, {stop, #{duration => atom}, #{}}, {stop, #{duration => -1}, #{}},
                 {stop, #{duration => 1.5}, #{}}, {start, #{monotonic_time => []}, #{}},
                 {exception, #{duration => none}, #{}}, {stop, #{duration => 1}, #{answer => raise}}],
    [ok = event(What, Measurements, Metadata) || {What, Measurements, Metadata} <- Malformed],
    done = telemetry:span(?PREFIX, #{}, fun() -> {done, #{answer => raise}} end),
    ok = event(stop, #{duration => 1}, #{answer => none}),
    ok = closed(Recording),
    #{failed := Failed, ended := 1} = router_bench_recording:counts(Recording),
    Failed = length(Malformed) + 1,
    % The handler is still there, and its owner heard of the first.
    true = router_bench_spans:is_attached([?PREFIX]),
    receive {recording_failed, error, _, [_ | _]} -> ok after 0 -> ct:fail(not_told) end,
    receive {recording_failed, _, _, _} -> ct:fail(told_twice) after 0 -> ok end.

a_router_goes_on_when_whoever_records_has_gone_in_mid_request(_Config) ->
    Test = self(),
    {Owner, Monitor} = spawn_monitor(fun() ->
        Recording = router_bench_recording:new(calls),
        ok = router_bench_recording:open(Recording),
        ok = router_bench_mark:watch(router_bench_recording, Recording),
        Test ! {self(), watched},
        receive stop -> ok end
    end),
    receive {Owner, watched} -> ok end,
    [A, B, C] = [router_bench_mark:started() || _ <- [1, 2, 3]],
    true = is_integer(A),
    exit(Owner, kill),
    receive {'DOWN', Monitor, process, Owner, killed} -> ok end,
    % Its tables are gone, its handles are not.
    ok = router_bench_mark:ended(A, ok),
    ok = router_bench_mark:ended(B, {error, no_table}),
    ok = router_bench_mark:unwatch(),
    ok = router_bench_mark:ended(C, ok),
    ok = router_bench_mark:watch(no_such_module, none),
    none = router_bench_mark:started(),
    ok = router_bench_mark:ended(C, ok),
    ok = router_bench_mark:unwatch().

two_calls_do_nothing_while_nobody_watches(_Config) ->
    none = router_bench_mark:started(),
    ok = router_bench_mark:ended(none, ok),
    ok = router_bench_mark:ended(17, {error, whatever}),
    false = router_bench_mark:is_watched().

two_calls_take_whatever_they_are_given(_Config) ->
    Recording = router_bench_recording:new(calls),
    ok = router_bench_recording:open(Recording),
    ok = router_bench_mark:watch(router_bench_recording, Recording),
    Mark = router_bench_mark:started(),
    Marks = [[], {}, #{}, <<>>, self(), make_ref(), 1.5, -1, 1 bsl 80, atom, Mark + 0.5],
    [ok = router_bench_mark:ended(Wrong, Answer)
     || Wrong <- Marks, Answer <- [ok, {error, {deep, [1, 2]}}, fun() -> ok end, "text", {}, timeout]],
    [ok = router_bench_mark:ended(router_bench_mark:started(), Answer)
     || Answer <- [ok, {ok, 1}, error, {error, timeout}, timeout, rejected, {rejected, full}, {}, 1]],
    ok = router_bench_mark:unwatch(),
    ok = closed(Recording),
    #{started := 10, ended := 9, error := 3, timeout := 2, rejected := 2, failed := Failed} =
        router_bench_recording:counts(Recording),
    % Of marks that nobody gave, whole numbers are of no window.
    Failed = 6 * (length(Marks) - 2),
    flush().

flush() ->
    receive {recording_failed, _, _, _} -> flush() after 0 -> ok end.

requests_of_many_processes_are_each_counted_once(_Config) ->
    Recording = router_bench_recording:new(calls),
    ok = router_bench_recording:open(Recording),
    ok = router_bench_mark:watch(router_bench_recording, Recording),
    Answers = [ok, {error, no}, rejected, timeout],
    Workers = [spawn_monitor(fun() ->
                   [router_bench_mark:ended(router_bench_mark:started(), Answer)
                    || _ <- lists:seq(1, 500), Answer <- Answers]
               end) || _ <- lists:seq(1, 20)],
    [receive {'DOWN', Monitor, process, Pid, normal} -> ok end || {Pid, Monitor} <- Workers],
    ok = router_bench_mark:unwatch(),
    ok = closed(Recording),
    #{started := 40000, ended := 40000, error := 10000, timeout := 10000, rejected := 10000, failed := 0} =
        router_bench_recording:counts(Recording),
    {#{count := 10000}, _} = router_bench_recording:window(Recording, 0).

%% Watching

a_watch_of_calls_balances_and_says_that_the_load_is_not_the_benchs(Config) ->
    File = filename:join(proplists:get_value(priv_dir, Config), "calls.json"),
    Answers = [ok, ok, ok, {error, no_route}, {rejected, full}],
    Traffic = [traffic(fun() -> [called(Answer) || Answer <- Answers] end) || _ <- [1, 2, 3]],
    {ok, Report} = quiet(#{calls => true, window_ms => 300, slice_ms => 20, blocks => 3,
                           report_file => File,
                           commit => <<"0123456789abcdef0123456789abcdef01234567">>}),
    [stop(One) || One <- Traffic],
    false = maps:is_key(load, Report),
    false = maps:is_key(controls, Report),
    #{metrics := Metrics, watched := Watched, blocks := [_, _, _] = Blocks, git := #{dirty := false}} = Report,
    false = maps:is_key(rps, Metrics),
    false = maps:is_key(errors_total, Metrics),
    #{latency_p95_ms := _, latency_p99_ms := _, mem_mb_total_erlang := _} = Metrics,
    #{source := calls, recording := #{request_ns := Ns, of_scheduler_time_pct := _}} = Watched,
    true = Ns > 0,
    [begin
         #{offered := Offered, ok := Ok, error := Error, timeout := Timeout, rejected := Rejected,
           skipped := 0} = Of,
         Offered = Ok + Error + Timeout + Rejected,
         % What began was seen to end.
         Started = Offered,
         Ok = lists:sum(Slices),
         true = Ok > 0 andalso Error > 0 andalso Rejected > 0,
         false = maps:is_key(throughput, Block) orelse maps:is_key(latency, Block)
     end || #{accounting := #{traffic := Of}, traffic := #{started := Started, slices := #{ok := Slices}}}
                = Block <- Blocks],
    {ok, Json} = file:read_file(File),
    {ok, Json} = router_bench_nif:report_encode(Report).

called(Answer) ->
    Mark = router_bench_mark:started(),
    router_bench_mark:ended(Mark, Answer).

a_watch_of_spans_says_why_requests_failed_and_what_recording_cost(_Config) ->
    Test = self(),
    Traffic = traffic(fun() ->
        _ = telemetry:span(?PREFIX, #{}, fun() -> {ok, #{}} end),
        catch telemetry:span(?PREFIX, #{}, fun() -> error(planted) end)
    end),
    Printed = printed(fun() ->
        Test ! {report, router_bench:watch(#{spans => [?PREFIX], window_ms => 300, blocks => 2})}
    end),
    stop(Traffic),
    Report = receive {report, {ok, Made}} -> Made after ?PATIENCE_MS -> ct:fail(no_report) end,
    #{watched := #{source := spans, spans := [<<"toy.router.route">>]}, blocks := [One, _],
      env := #{clock_source := <<"erlang:monotonic_time/0">>}} = Report,
    #{reasons := [#{outcome := error, reason := <<"error:planted">>, sample := Sample}]} = One,
    {_, _} = binary:match(Sample, <<"planted">>),
    [{_, _} = binary:match(Printed, Text)
     || Text <- [<<"window 1 of 2:">>, <<"ns a request:">>, <<"of the schedulers' time">>,
                 <<"traffic of the node's own">>, <<"coordinated omission">>]].

a_watch_without_traffic_measures_nothing_and_says_so(_Config) ->
    {ok, Report} = quiet(#{calls => true, window_ms => 100, blocks => 1}),
    #{run := #{status := insufficient_samples}, metrics := Metrics, watched := #{recording := Recording},
      blocks := [#{accounting := #{traffic := #{offered := 0}}}]} = Report,
    false = maps:is_key(latency_p95_ms, Metrics),
    false = maps:is_key(of_service_time_pct, Recording).

an_adapter_is_told_that_the_node_runs_and_is_never_asked_to_end_it(_Config) ->
    Counters = counters:new(2, []),
    Traffic = traffic(fun() -> counters:add(Counters, 1, 1), called(ok) end),
    {ok, Report} = quiet(#{calls => true, window_ms => 200, blocks => 2, adapter => attached_adapter,
                           adapter_options => #{tell => self(), counters => Counters}}),
    stop(Traffic),
    #{metrics := #{errors_total := Errors, backpressure_active_total := 0},
      watched := #{adapter := attached_adapter}} = Report,
    true = Errors > 0,
    [init, detach] = told(),
    ok.

told() ->
    receive {attached_adapter, What} -> [What | told()] after 0 -> [] end.

an_adapter_that_fails_fails_the_watch_before_it_records(_Config) ->
    {error, {failed, Text, #{blocks := []}}} =
        quiet(#{calls => true, adapter => attached_adapter, adapter_options => #{fails => planted}}),
    {_, _} = binary:match(Text, <<"init/1 of attached_adapter raised error:planted">>).

a_stopped_watch_keeps_its_windows_and_leaves_nothing(Config) ->
    File = filename:join(proplists:get_value(priv_dir, Config), "watch_stopped.json"),
    Traffic = traffic(fun() -> called(ok) end),
    Watch = watch(#{calls => true, window_ms => 100, blocks => 1000, report_file => File}),
    until(fun() -> has_block(File) end),
    ok = router_bench:stop(),
    {error, {interrupted, #{run := #{status := interrupted, reason := Reason}, blocks := [_ | _]}}} =
        result(Watch),
    stop(Traffic),
    {_, _} = binary:match(Reason, <<"of 1000 windows">>),
    {error, not_running} = router_bench:stop(),
    true = has_block(File).

a_killed_caller_leaves_a_report_and_nothing_else(Config) ->
    File = filename:join(proplists:get_value(priv_dir, Config), "watch_killed.json"),
    {Caller, _} = watch(#{spans => [?PREFIX], window_ms => 100, blocks => 1000, report_file => File}),
    Traffic = traffic(fun() -> telemetry:span(?PREFIX, #{}, fun() -> {ok, #{}} end) end),
    until(fun() -> has_block(File) end),
    exit(Caller, kill),
    until(fun() -> whereis(router_bench_run) =:= undefined end),
    stop(Traffic),
    [] = telemetry:list_handlers([]),
    {ok, Json} = file:read_file(File),
    {_, _} = binary:match(Json, <<"\"status\": \"interrupted\"">>).

a_killed_watch_leaves_nothing_recorded(_Config) ->
    [begin
         Watch = watch(Options#{window_ms => 60000}),
         until(fun() -> router_bench_mark:is_watched() orelse telemetry:list_handlers([]) =/= [] end),
         exit(whereis(router_bench_run), kill),
         {exit, killed} = result(Watch),
         until(fun() -> not router_bench_mark:is_watched() andalso telemetry:list_handlers([]) =:= [] end)
     end || Options <- [#{calls => true}, #{spans => [?PREFIX]}]].

a_handler_that_somebody_detached_fails_the_watch(_Config) ->
    Watch = watch(#{spans => [?PREFIX], window_ms => 200, blocks => 1}),
    until(fun() -> telemetry:list_handlers([]) =/= [] end),
    ok = telemetry:detach(router_bench_watch),
    {error, {failed, Text, _}} = result(Watch),
    {_, _} = binary:match(Text, <<"detached">>).

a_watch_and_a_run_do_not_measure_each_other(_Config) ->
    Watch = watch(#{calls => true, window_ms => 60000}),
    until(fun() -> router_bench_mark:is_watched() end),
    {error, already_running} = quiet(#{calls => true}),
    {error, already_running} = router_bench:run(#{adapter => toy_adapter, quiet => true}),
    true = router_bench_mark:is_watched(),
    ok = router_bench:stop(),
    {error, {interrupted, #{blocks := []}}} = result(Watch).

a_node_without_telemetry_says_so(_Config) ->
    Ebin = filename:dirname(code:which(router_bench)),
    {ok, Peer, _} = peer:start_link(#{connection => standard_io, args => ["-pa", Ebin]}),
    {error, {failed, Text, _}} =
        peer:call(Peer, router_bench, watch, [#{spans => [?PREFIX], quiet => true}], ?PATIENCE_MS),
    {_, _} = binary:match(Text, <<"there is no telemetry in this node">>),
    % The two calls need nothing of it.
    none = peer:call(Peer, router_bench_mark, started, []),
    peer:stop(Peer).

wrong_options_are_named(_Config) ->
    {error, nothing_to_watch} = quiet(#{}),
    {error, {unknown_option, rate_per_second}} = quiet(#{calls => true, rate_per_second => 1}),
    [{error, {bad_option, Option, _, _}} = quiet(#{calls => true, Option => Value})
     || {Option, Value} <- [{spans, toy}, {spans, [["toy"]]}, {spans, [[]]},
                            {window_ms, 99}, {window_ms, 1.5}, {blocks, 0}, {adapter, no_such_adapter},
                            {adapter, lists}, {commit, <<"HEAD">>}, {answer, none}]],
    {error, {bad_option, calls, true, _}} = quiet(#{calls => true, spans => [[toy]]}).

%% Helpers

attached() ->
    attached(fun router_bench_spans:answer/1).

attached(Answer) ->
    Recording = router_bench_recording:new(spans),
    ok = router_bench_recording:open(Recording),
    ok = router_bench_spans:attach([?PREFIX], Recording, Answer),
    Recording.

event(What, Measurements, Metadata) ->
    telemetry:execute(?PREFIX ++ [What], Measurements, Metadata).

closed(Recording) ->
    _ = router_bench_recording:close(Recording),
    router_bench_recording:forget(Recording).

quiet(Options) ->
    router_bench:watch(Options#{quiet => true}).

%% Watches in a process of its own.
watch(Options) ->
    Test = self(),
    spawn_monitor(fun() ->
        Test ! {self(), try quiet(Options) catch Class:Reason -> {Class, Reason} end}
    end).

result({Pid, Monitor}) ->
    receive
        {Pid, Result} ->
            true = demonitor(Monitor, [flush]),
            Result
    after ?PATIENCE_MS -> ct:fail({no_result, erlang:process_info(Pid, current_stacktrace)})
    end.

%% Does something over and over, and lets others in.
traffic(Do) ->
    spawn_monitor(fun() -> again(Do) end).

again(Do) ->
    _ = Do(),
    receive stop -> ok after 0 -> erlang:yield(), again(Do) end.

stop({Pid, Monitor}) ->
    Pid ! stop,
    receive {'DOWN', Monitor, process, Pid, normal} -> ok end.

has_block(File) ->
    case file:read_file(File) of
        {ok, Json} -> binary:match(Json, <<"\"block\": 1">>) =/= nomatch;
        {error, _} -> false
    end.

%% What is printed meanwhile.
printed(Do) ->
    Leader = group_leader(),
    Printer = spawn_link(fun() -> collect([]) end),
    true = group_leader(Printer, self()),
    try Do()
    after true = group_leader(Leader, self())
    end,
    Printer ! {printed, self()},
    receive {Printer, Text} -> Text end.

collect(Texts) ->
    receive
        {io_request, From, Reference, {put_chars, _, Text}} ->
            From ! {io_reply, Reference, ok},
            collect([Text | Texts]);
        {io_request, From, Reference, {put_chars, _, Module, Function, Arguments}} ->
            From ! {io_reply, Reference, ok},
            collect([apply(Module, Function, Arguments) | Texts]);
        {printed, From} ->
            From ! {self(), unicode:characters_to_binary(lists:reverse(Texts))}
    end.

until(Holds) ->
    until(Holds, erlang:monotonic_time(millisecond) + ?PATIENCE_MS).

until(Holds, EndMs) ->
    case Holds() of
        true ->
            ok;
        false ->
            true = erlang:monotonic_time(millisecond) < EndMs,
            timer:sleep(5),
            until(Holds, EndMs)
    end.
