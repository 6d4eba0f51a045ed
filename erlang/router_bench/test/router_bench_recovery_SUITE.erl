%% @doc An outage and what comes after it, of a router of a few counters.
-module(router_bench_recovery_SUITE).

-export([all/0, suite/0]).
-export([what_an_outage_costs_is_in_its_own_figures_alone/1,
         without_an_outage_there_are_no_such_figures/1,
         a_router_that_does_not_come_back_has_no_time_and_its_lost_requests/1,
         where_a_side_has_no_outage_its_figures_are_absent/1,
         an_outage_that_goes_wrong_fails_the_run_and_names_the_callback/1,
         an_outage_is_refused_where_there_is_none_or_others_would_suffer/1]).

suite() -> [{timetrap, {minutes, 2}}].

all() ->
    [F || {F, 1} <- ?MODULE:module_info(exports), F =/= module_info].

%% Whatever the machine does meanwhile: any p95 is as before, so that lost requests alone are an outage.
options(More) ->
    maps:merge(#{adapter => toy_adapter, blocks => 1, warmup_ms => 20, throughput_ms => 100, latency_ms => 200,
                 rate_per_second => 4000, concurrency => 4, drain_timeout_ms => 300, control => false,
                 outage_ms => 100, outage_tolerance_pct => 1000000, quiet => true}, More).

run(More) -> router_bench:run(options(More)).

toy(Outage) -> #{adapter_options => #{outage => Outage}}.

what_an_outage_costs_is_in_its_own_figures_alone(_Config) ->
    {ok, #{metrics := Metrics, run := Run, load := Load, accounting := Total, blocks := Blocks} = Report} =
        run(#{blocks => 2}),
    #{errors_total := 0, backpressure_active_total := 0, recovery_ms := _, requests_lost := _} = Metrics,
    #{outage := #{outage_ms := 100, tolerance_pct := 1000000}} = Load,
    false = is_map_key(planted_fault, Run),
    Lost = [begin
                #{accounting := #{throughput := Closed, latency := Open, recovery := Outcomes},
                  recovery := #{windows := Windows, reasons := Reasons}, metrics := Of, errors := Errors} = Block,
                [#{error := 0, timeout := 0} = Loop || Loop <- [Closed, Open]],
                #{offered := Offered, ok := Ok, error := Error, timeout := Timeout, rejected := Rejected,
                  skipped := Skipped} = Outcomes,
                Offered = Ok + Error + Timeout + Rejected + Skipped,
                true = Error > 0,
                Offered = lists:sum([N || #{offered := N} <- Windows]),
                Ok = lists:sum([N || #{ok := N} <- Windows]),
                % Those that come before it, and the last ones, lost nothing.
                [] = [W || #{offered := N, ok := M} = W <- lists:sublist(Windows, 19), N =/= M],
                #{offered := Last, ok := Last} = lists:last(Windows),
                #{requests_lost := Counted, recovery_ms := _, errors_total := 0} = Of,
                true = Counted == Offered - Ok,
                [#{outcome := error, reason := <<"gone">>, count := Error}] = Reasons,
                #{driver := 0, router := 0} = Errors,
                false = is_map_key(reasons, Block),
                Counted
            end || Block <- Blocks],
    #{recovery := #{error := AllErrors}} = Total,
    true = AllErrors == lists:sum(Lost),
    #{requests_lost := Median} = Metrics,
    true = Median == lists:sum(Lost) / 2,
    {ok, _} = router_bench_nif:report_encode(Report).

without_an_outage_there_are_no_such_figures(_Config) ->
    {ok, #{metrics := Metrics, load := Load, accounting := Accounting, blocks := [Block]}} =
        run(#{outage_ms => none}),
    [false = is_map_key(Key, Map) || {Key, Map} <- [{recovery_ms, Metrics}, {requests_lost, Metrics},
                                                     {outage, Load}, {recovery, Accounting}, {recovery, Block}]].

a_router_that_does_not_come_back_has_no_time_and_its_lost_requests(_Config) ->
    {ok, #{metrics := Metrics, blocks := [#{recovery := #{windows := Windows}}]}} = run(toy(stays)),
    false = is_map_key(recovery_ms, Metrics),
    #{requests_lost := Lost, errors_total := 0} = Metrics,
    true = Lost > 0,
    #{ok := 0} = lists:last(Windows).

where_a_side_has_no_outage_its_figures_are_absent(Config) ->
    File = fun(Name) -> filename:join(proplists:get_value(priv_dir, Config), "recovery_" ++ Name) end,
    Values = [#{value => Value, report_file => File(binary_to_list(Value))}
              || Value <- [<<"works">>, <<"not_offered">>]],
    {ok, _} = run(#{variants => #{option => <<"outage">>, values => Values}}),
    [With, Without] = [begin
                           {ok, Json} = file:read_file(Of),
                           [binary:match(Json, Key) =/= nomatch
                            || Key <- [<<"\"requests_lost\"">>, <<"\"recovery\"">>, <<"\"outage_ms\"">>]]
                       end || #{report_file := Of} <- Values],
    {[true, true, true], [false, false, true]} = {With, Without}.

an_outage_that_goes_wrong_fails_the_run_and_names_the_callback(_Config) ->
    [begin
         {error, {failed, Text, #{blocks := []}}} = run((toy(Outage))#{callback_timeout_ms => 1000}),
         {Outage, {match, _}} = {Outage, re:run(Text, "outage/1 of toy_adapter " ++ Says)}
     end || {Outage, Says} <- [{surprise, "answered surprise"}, {raises, "raised error:planned"},
                               {hangs, "did not return in 1 s"}]].

an_outage_is_refused_where_there_is_none_or_others_would_suffer(_Config) ->
    Refused = fun(More) -> router_bench_plan:new(options(More)) end,
    {error, {bad_option, outage_ms, 100, "none, or an adapter that exports outage/1"}} =
        Refused(#{adapter => plain_adapter}),
    {error, {bad_option, outage_ms, 100, "none: others use this router"}} =
        Refused(#{node => 'router@127.0.0.1'}),
    [{error, {bad_option, outage_ms, Ms, _}} = Refused(#{outage_ms => Ms}) || Ms <- [9, 60001, 1.5, long]],
    [{error, {bad_option, outage_tolerance_pct, Pct, _}} = Refused(#{outage_tolerance_pct => Pct})
     || Pct <- [-1, "15"]].
