%% @doc The router as its users see it, and each part at its edges. The suite is its own transport:
%% the payload of a message is a function that plays the provider.
-module(ref_router_SUITE).
-behaviour(ref_router_transport).
-compile([export_all, nowarn_export_all]).

-include_lib("stdlib/include/assert.hrl").

-define(NS(Ms), ((Ms) * 1_000_000)).

all() ->
    [{group, G} || {G, _, _} <- groups()].

groups() ->
    [{outcomes, [shuffle],
      [route_before_start_is_an_error_not_a_crash,
       the_defaults_route_every_tenant,
       unknown_tenant_is_an_error_not_a_rejection,
       a_message_of_the_wrong_shape_is_an_error_of_its_caller,
       a_rate_limited_message_is_rejected_and_no_error,
       an_overloaded_intake_rejects_and_counts_no_error,
       a_raising_transport_reaches_the_caller_and_leaves_nothing_in_flight,
       deciding_delivers_nothing_and_counts_apart,
       every_total_moves_only_itself]},
     {providers, [shuffle],
      [fallbacks_are_tried_in_their_order_and_each_once,
       an_open_provider_is_passed_over_without_an_attempt,
       refused_deliveries_open_the_breaker_and_so_do_raised_ones,
       all_providers_open_is_an_error_that_names_the_last,
       a_breaker_opens_at_its_minimum_volume_and_not_before,
       a_success_that_completes_the_volume_opens_too,
       failures_of_the_window_before_do_not_count,
       half_open_lets_only_its_probes_pass,
       a_successful_probe_closes_with_an_empty_window,
       a_failed_probe_opens_for_the_whole_time_again,
       a_late_result_of_a_closed_time_moves_no_half_open_breaker,
       probes_of_killed_callers_come_back,
       deciding_gives_its_probe_back]},
     {sessions, [shuffle],
      [a_session_stays_until_its_ttl_and_not_a_millisecond_longer,
       a_session_leaves_an_open_provider_and_stays_with_the_next,
       the_same_session_name_of_two_tenants_is_two_sessions,
       a_full_table_routes_without_remembering,
       a_sweep_deletes_only_what_has_expired]},
     {intake, [shuffle],
      [backpressure_is_an_edge_at_the_high_and_back_at_the_low_watermark,
       releasing_more_than_held_releases_what_is_held,
       waiters_are_served_first_come_first_served,
       a_killed_waiter_frees_its_place,
       a_slot_on_its_way_to_a_killed_waiter_comes_back,
       a_raised_limit_wakes_who_waits,
       a_killed_caller_loses_its_slot_for_two_leases_at_most,
       leaving_after_the_lease_frees_no_slot_of_another]},
     {configuration, [shuffle],
      [an_error_names_the_key,
       a_refused_configuration_changes_nothing,
       a_new_configuration_is_never_seen_in_part,
       a_caller_overtaken_by_a_new_configuration_goes_on_with_that]},
     {lifecycle, [shuffle],
      [a_killed_owner_comes_back_with_the_last_configuration,
       a_killed_queue_fails_its_waiters_and_comes_back_empty,
       a_killed_janitor_disturbs_nobody,
       stopping_leaves_nothing_behind,
       a_bad_environment_refuses_to_start_and_leaves_nothing_behind]}].

suite() ->
    [{timetrap, {seconds, 30}}].

init_per_testcase(route_before_start_is_an_error_not_a_crash, Config) ->
    Config;
init_per_testcase(_Case, Config) ->
    {ok, _} = application:ensure_all_started(ref_router),
    Config.

end_per_testcase(_Case, _Config) ->
    _ = application:stop(ref_router),
    ok = application:unset_env(ref_router, config).

%% Outcomes

route_before_start_is_an_error_not_a_crash(_Config) ->
    ?assertEqual({error, not_started}, ref_router:route(#{tenant => <<"acme">>})),
    ?assertEqual({error, not_started}, ref_router:configure(#{})).

the_defaults_route_every_tenant(_Config) ->
    #{tenants := Tenants} = ref_router_config:defaults(),
    [?assertMatch({ok, #{policy := Policy, reason := weighted, attempts := 1}},
                  ref_router:route(#{tenant => Tenant}))
     || {Tenant, Policy} <- maps:to_list(Tenants)],
    ?assertMatch(#{routed_total := 4, errors_total := 0, rejected_total := 0, in_flight := 0,
                   backpressure_active_total := 0}, ref_router:counters()).

unknown_tenant_is_an_error_not_a_rejection(_Config) ->
    ?assertEqual({error, unknown_tenant}, ref_router:route(#{tenant => <<"nobody">>})),
    ?assertMatch(#{errors_total := 1, rejected_total := 0, routed_total := 0, in_flight := 0},
                 ref_router:counters()).

a_message_of_the_wrong_shape_is_an_error_of_its_caller(_Config) ->
    Wrong = [not_a_map, #{}, #{tenant => acme}, #{tenant => <<"acme">>, session => 1}],
    [?assertEqual({error, invalid_message}, ref_router:route(Message)) || Message <- Wrong],
    ?assertMatch(#{errors_total := 4, in_flight := 0}, ref_router:counters()).

a_rate_limited_message_is_rejected_and_no_error(_Config) ->
    %% One token a second, two at once: the third of three is limited, however slow this runs,
    %% unless it takes a second; so it asks until it is.
    ok = configure(#{}, #{rate_per_second => 1, burst => 2}),
    ok = until(fun() -> route(ok) =:= {rejected, rate_limited} end),
    ?assertMatch(#{rejected_total := 1, rate_limited_total := 1, errors_total := 0,
                   in_flight := 0}, ref_router:counters()).

an_overloaded_intake_rejects_and_counts_no_error(_Config) ->
    ok = configure(#{intake => limits(3, 0)}, #{}),
    ?assertEqual(3, ref_router_intake:hold(5)),
    ?assertEqual({rejected, overloaded}, route(ok)),
    ?assertEqual(3, ref_router_intake:release(3)),
    ?assertMatch({ok, _}, route(ok)),
    ?assertMatch(#{rejected_total := 1, overloaded_total := 1, errors_total := 0,
                   in_flight := 0, queued := 0}, ref_router:counters()).

a_raising_transport_reaches_the_caller_and_leaves_nothing_in_flight(_Config) ->
    ok = configure(#{}, #{}),
    ?assertError(broken, route(fun(_) -> error(broken) end)),
    ?assertExit(broken, route(fun(_) -> exit(broken) end)),
    ?assertThrow(broken, route(fun(_) -> throw(broken) end)),
    ?assertMatch(#{errors_total := 3, routed_total := 0, in_flight := 0}, ref_router:counters()).

deciding_delivers_nothing_and_counts_apart(_Config) ->
    ok = configure(#{}, #{}),
    Message = #{tenant => <<"t">>, payload => fun(_) -> error(delivered) end},
    ?assertMatch({ok, #{provider := a, reason := weighted, attempts := 0}},
                 ref_router:decide(Message)),
    ?assertMatch(#{decided_total := 1, routed_total := 0, errors_total := 0},
                 ref_router:counters()).

every_total_moves_only_itself(_Config) ->
    Table = [Name || {Name, _Unit, _Help, _Read} <- ref_router_counters:table()],
    ?assertEqual(length(Table), length(lists:usort(Table))),
    Totals = Table -- [rejected_total, in_flight, queued, sessions],
    lists:foreach(
      fun(Total) ->
              Before = maps:with(Totals, ref_router:counters()),
              ok = ref_router_counters:add(Total),
              ?assertEqual(maps:update_with(Total, fun(N) -> N + 1 end, Before),
                           maps:with(Totals, ref_router:counters()))
      end, Totals).

%% Providers

fallbacks_are_tried_in_their_order_and_each_once(_Config) ->
    %% `a' is the only weighted provider and among its own fallbacks too.
    ok = configure(#{}, #{fallbacks => [c, a, b]}),
    Self = self(),
    Fail = fun(Failing) -> fun(P) -> Self ! P, result(not lists:member(P, Failing)) end end,
    ?assertMatch({ok, #{provider := c, reason := {fallback, {failed, a}}, attempts := 2}},
                 route(Fail([a]))),
    ?assertEqual([a, c], received()),
    ?assertMatch({ok, #{provider := b, reason := {fallback, {failed, c}}, attempts := 3}},
                 route(Fail([a, c]))),
    ?assertEqual([a, c, b], received()),
    ?assertEqual({error, {no_provider, {failed, b}}}, route(Fail([a, b, c]))),
    ?assertEqual([a, c, b], received()),
    ?assertMatch(#{routed_total := 2, fallbacks_total := 2, errors_total := 1},
                 ref_router:counters()).

an_open_provider_is_passed_over_without_an_attempt(_Config) ->
    ok = configure(#{}, #{fallbacks => [b]}),
    ok = open(a),
    Forbidden = fun(P) -> result(P =/= a orelse error(delivered_to_open)) end,
    ?assertMatch({ok, #{provider := b, reason := {fallback, {open, a}}, attempts := 1}},
                 route(Forbidden)),
    ?assertMatch(#{breaker_opened_total := 1}, ref_router:counters()).

refused_deliveries_open_the_breaker_and_so_do_raised_ones(_Config) ->
    Plays = [fun(_) -> {error, refused} end, fun(_) -> error(broken) end],
    [begin
         ok = configure(#{}, #{}),
         _ = [try route(Play) catch error:broken -> ok end || _ <- lists:seq(1, 10)],
         ?assertEqual({error, {no_provider, {open, a}}}, route(ok))
     end || Play <- Plays],
    ?assertMatch(#{breaker_opened_total := 2, in_flight := 0}, ref_router:counters()).

all_providers_open_is_an_error_that_names_the_last(_Config) ->
    ok = configure(#{}, #{fallbacks => [b, c]}),
    ok = open(c),
    ok = open(b),
    ok = open(a),
    ?assertEqual({error, {no_provider, {open, c}}}, route(fun(_) -> error(delivered) end)),
    ?assertEqual(#{a => open, b => open, c => open}, ref_router:breakers()),
    ?assertMatch(#{breaker_opened_total := 3, in_flight := 0}, ref_router:counters()).

a_breaker_opens_at_its_minimum_volume_and_not_before(_Config) ->
    Breaker = breaker(#{minimum_volume => 3}),
    ?assertEqual([ok, ok, opened], [fail(Breaker, 0) || _ <- [1, 2, 3]]),
    ?assertEqual(open, ref_router_breaker:allow(Breaker, 999)).

a_success_that_completes_the_volume_opens_too(_Config) ->
    Breaker = breaker(#{minimum_volume => 4, error_threshold_percent => 75}),
    ?assertEqual([ok, ok, ok], [fail(Breaker, 0) || _ <- [1, 2, 3]]),
    ?assertEqual(opened, report(Breaker, success, 0)).

failures_of_the_window_before_do_not_count(_Config) ->
    Breaker = breaker(#{minimum_volume => 2, window_ms => 100}),
    ?assertEqual(ok, fail(Breaker, 99)),
    ?assertEqual(ok, fail(Breaker, 100)),
    %% A clock reading from before does not wind the window back.
    ?assertEqual(opened, fail(Breaker, 99)).

half_open_lets_only_its_probes_pass(_Config) ->
    Breaker = opened(#{half_open_probes => 2}),
    ?assertEqual(open, ref_router_breaker:allow(Breaker, 999)),
    [First, Second, Third] = [ref_router_breaker:allow(Breaker, 1000) || _ <- [1, 2, 3]],
    ?assertEqual([true, true, false], [P =/= open || P <- [First, Second, Third]]),
    ?assertEqual(half_open, ref_router_breaker:state(Breaker)).

a_successful_probe_closes_with_an_empty_window(_Config) ->
    Breaker = opened(#{minimum_volume => 3, window_ms => 10_000}),
    ?assertEqual(ok, report(Breaker, success, 1000)),
    ?assertEqual(closed, ref_router_breaker:state(Breaker)),
    ?assertEqual([ok, ok, opened], [fail(Breaker, 1001) || _ <- [1, 2, 3]]).

a_failed_probe_opens_for_the_whole_time_again(_Config) ->
    Breaker = opened(#{}),
    ?assertEqual(opened, fail(Breaker, 1500)),
    ?assertEqual(open, ref_router_breaker:allow(Breaker, 2499)),
    ?assertNotEqual(open, ref_router_breaker:allow(Breaker, 2500)).

a_late_result_of_a_closed_time_moves_no_half_open_breaker(_Config) ->
    Breaker = breaker(#{}),
    Late = ref_router_breaker:allow(Breaker, 0),
    opened = fail(Breaker, 0),
    _Probe = ref_router_breaker:allow(Breaker, 1000),
    ?assertEqual(ok, ref_router_breaker:report(Breaker, Late, success, 1001)),
    ?assertEqual(ok, ref_router_breaker:report(Breaker, Late, failure, 1001)),
    ?assertEqual(half_open, ref_router_breaker:state(Breaker)).

probes_of_killed_callers_come_back(_Config) ->
    Breaker = opened(#{}),
    Lost = ref_router_breaker:allow(Breaker, 1000),
    ?assertEqual(open, ref_router_breaker:allow(Breaker, 1999)),
    Probe = ref_router_breaker:allow(Breaker, 2000),
    ?assertNotEqual(open, Probe),
    %% The lost one was not dead but slow: it speaks for a time that is over.
    ?assertEqual(ok, ref_router_breaker:report(Breaker, Lost, failure, 2001)),
    ?assertEqual(ok, ref_router_breaker:report(Breaker, Probe, success, 2001)),
    ?assertEqual(closed, ref_router_breaker:state(Breaker)).

deciding_gives_its_probe_back(_Config) ->
    ok = configure(#{}, #{}),
    ok = open(a),
    Later = later(1000),
    Decide = fun() -> run(decide, message(ok), Later) end,
    ?assertMatch([{ok, _}, {ok, _}, {ok, _}], [Decide() || _ <- [1, 2, 3]]),
    ?assertEqual(half_open, maps:get(a, ref_router:breakers())).

%% Sessions

a_session_stays_until_its_ttl_and_not_a_millisecond_longer(_Config) ->
    ok = configure(#{}, #{weights => [{a, 1}, {b, 1}, {c, 1}], sticky_ttl_ms => 500}),
    Now = later(0),
    Message = session(<<"s">>),
    {ok, #{provider := Provider, reason := weighted}} = run(deliver, Message, Now),
    [?assertMatch({ok, #{provider := Provider, reason := sticky}},
                  run(deliver, Message, Now + ?NS(Ms))) || Ms <- [0, 1, 250, 499]],
    ?assertMatch({ok, #{reason := weighted}}, run(deliver, Message, Now + ?NS(500))),
    ?assertMatch({ok, #{reason := sticky}}, run(deliver, Message, Now + ?NS(999))).

a_session_leaves_an_open_provider_and_stays_with_the_next(_Config) ->
    ok = configure(#{}, #{fallbacks => [b], sticky_ttl_ms => 3_600_000}),
    Message = session(<<"s">>),
    ?assertMatch({ok, #{provider := a, reason := weighted}}, ref_router:route(Message)),
    ok = open(a),
    ?assertMatch({ok, #{provider := b, reason := {fallback, {open, a}}}},
                 ref_router:route(Message)),
    ?assertMatch({ok, #{provider := b, reason := sticky}}, ref_router:route(Message)),
    %% `a' would take a probe again, but the session has moved.
    ?assertMatch({ok, #{provider := b, reason := sticky}}, run(deliver, Message, later(1000))).

the_same_session_name_of_two_tenants_is_two_sessions(_Config) ->
    ok = configure(#{}, #{}),
    ?assertMatch({ok, #{reason := weighted}}, ref_router:route(session(<<"s">>))),
    ?assertMatch({ok, #{reason := weighted}},
                 ref_router:route((session(<<"s">>))#{tenant => <<"u">>})),
    ?assertMatch(#{sessions := 2}, ref_router:counters()).

a_full_table_routes_without_remembering(_Config) ->
    ok = configure(#{sessions => #{max_sessions => 1}}, #{}),
    [{ok, _} = ref_router:route(session(S)) || S <- [<<"1">>, <<"2">>, <<"3">>]],
    ?assertMatch({ok, #{reason := sticky}}, ref_router:route(session(<<"1">>))),
    ?assertMatch({ok, #{reason := weighted}}, ref_router:route(session(<<"2">>))),
    ?assertMatch(#{sessions := 1, sessions_full_total := 3}, ref_router:counters()).

a_sweep_deletes_only_what_has_expired(_Config) ->
    Table = ref_router_session:new(),
    [ok = ref_router_session:bind(Table, 10, none, {<<"t">>, <<Ms>>}, {a, Ms})
     || Ms <- [10, 20, 30]],
    ?assertEqual(2, ref_router_session:sweep(Table, 20)),
    ?assertEqual(none, ref_router_session:find(Table, {<<"t">>, <<20>>}, 20)),
    ?assertEqual({live, a}, ref_router_session:find(Table, {<<"t">>, <<30>>}, 20)),
    true = ets:delete(Table).

%% Intake

backpressure_is_an_edge_at_the_high_and_back_at_the_low_watermark(_Config) ->
    ok = configure(#{intake => (limits(10, 0))#{high_watermark => 8, low_watermark => 3}}, #{}),
    Step = fun(take, N) -> N = ref_router_intake:hold(N), edges();
              (give, N) -> N = ref_router_intake:release(N), edges()
           end,
    ?assertEqual({0, 0}, Step(take, 7)),
    ?assertEqual({1, 0}, Step(take, 1)),
    ?assertEqual({1, 0}, Step(take, 2)),
    ?assertEqual({1, 0}, Step(give, 6)),
    ?assertEqual({1, 0}, Step(take, 5)),
    ?assertEqual({1, 1}, Step(give, 6)),
    ?assertEqual({1, 1}, Step(take, 4)),
    %% The eighth is a message like any other.
    {ok, _} = route(fun(_) -> ?assertEqual({2, 1}, edges()), ok end),
    ?assert(ref_router_intake:is_backpressure_active()),
    ?assertEqual({2, 2}, Step(give, 7)),
    ?assertNot(ref_router_intake:is_backpressure_active()).

releasing_more_than_held_releases_what_is_held(_Config) ->
    {ok, _} = route_in_default(fun() ->
                                       2 = ref_router_intake:hold(2),
                                       ?assertEqual(2, ref_router_intake:release(100)),
                                       ?assertEqual(1, ref_router_intake:in_flight())
                               end).

waiters_are_served_first_come_first_served(_Config) ->
    ok = configure(#{intake => limits(1, 5)}, #{}),
    1 = ref_router_intake:hold(1),
    Self = self(),
    Waiters = [begin
                   Pid = spawn_link(fun() -> {ok, _} = route(fun(_) -> Self ! N, ok end) end),
                   ok = until(fun() -> ref_router_intake:queued() =:= N end),
                   Pid
               end || N <- [1, 2, 3]],
    1 = ref_router_intake:release(1),
    ok = until(fun() -> not lists:any(fun is_process_alive/1, Waiters) end),
    ?assertEqual([1, 2, 3], received()),
    ?assertMatch(#{in_flight := 0, queued := 0, routed_total := 3}, ref_router:counters()).

a_killed_waiter_frees_its_place(_Config) ->
    ok = configure(#{intake => limits(1, 1)}, #{}),
    1 = ref_router_intake:hold(1),
    Waiter = spawn(fun() -> route(ok) end),
    ok = until(fun() -> ref_router_intake:queued() =:= 1 end),
    ?assertEqual({rejected, overloaded}, route(ok)),
    true = exit(Waiter, kill),
    ok = until(fun() -> ref_router_intake:queued() =:= 0 end),
    {Next, Monitor} = spawn_monitor(fun() -> {ok, _} = route(ok) end),
    ok = until(fun() -> ref_router_intake:queued() =:= 1 end),
    1 = ref_router_intake:release(1),
    receive {'DOWN', Monitor, process, Next, Reason} -> ?assertEqual(normal, Reason) end,
    ?assertMatch(#{in_flight := 0, queued := 0}, ref_router:counters()).

a_slot_on_its_way_to_a_killed_waiter_comes_back(_Config) ->
    ok = configure(#{intake => limits(1, 1)}, #{}),
    1 = ref_router_intake:hold(1),
    Waiter = spawn(fun() -> route(ok) end),
    ok = until(fun() -> ref_router_intake:queued() =:= 1 end),
    ok = sys:suspend(ref_router_queue),
    true = exit(Waiter, kill),
    ok = until(fun() -> {message_queue_len, 1} =:= process_info(whereis(ref_router_queue),
                                                                message_queue_len) end),
    1 = ref_router_intake:release(1),
    ?assertMatch(#{in_flight := 1, queued := 0}, ref_router:counters()),
    ok = sys:resume(ref_router_queue),
    _ = sys:get_state(ref_router_queue),
    ?assertMatch(#{in_flight := 0, queued := 0}, ref_router:counters()).

a_raised_limit_wakes_who_waits(_Config) ->
    ok = configure(#{intake => limits(1, 2)}, #{}),
    1 = ref_router_intake:hold(1),
    Waiters = [spawn_monitor(fun() -> {ok, _} = route(ok) end) || _ <- [1, 2]],
    ok = until(fun() -> ref_router_intake:queued() =:= 2 end),
    ok = configure(#{intake => limits(2, 2)}, #{}),
    [receive {'DOWN', M, process, P, Reason} -> ?assertEqual(normal, Reason) end
     || {P, M} <- Waiters],
    ?assertMatch(#{in_flight := 1, queued := 0}, ref_router:counters()).

a_killed_caller_loses_its_slot_for_two_leases_at_most(_Config) ->
    ok = configure(#{intake => limits(2, 0)}, #{}),
    1 = ref_router_intake:hold(1),
    Self = self(),
    {Caller, Monitor} = spawn_monitor(fun() -> route(fun(_) -> Self ! in, block() end) end),
    receive in -> ok end,
    true = exit(Caller, kill),
    receive {'DOWN', Monitor, process, Caller, killed} -> ok end,
    ?assertEqual(2, ref_router_intake:in_flight()),
    ?assertEqual(1, lists:sum([ref_router_intake:expire_lease() || _ <- [1, 2]])),
    %% The slot held has no lease.
    ?assertEqual(1, ref_router_intake:in_flight()),
    ?assertMatch(#{slots_reclaimed_total := 1}, ref_router:counters()).

leaving_after_the_lease_frees_no_slot_of_another(_Config) ->
    {ok, Slot} = ref_router_intake:enter(),
    1 = lists:sum([ref_router_intake:expire_lease() || _ <- [1, 2]]),
    1 = ref_router_intake:hold(1),
    ok = ref_router_intake:leave(Slot),
    ?assertEqual(1, ref_router_intake:in_flight()).

%% Configuration

an_error_names_the_key(_Config) ->
    #{policies := #{balanced := Policy} = Policies, providers := Providers} =
        ref_router_config:defaults(),
    Provider = fun(P) -> #{providers => Providers#{alpha => P}} end,
    PolicyWith = fun(P) -> #{policies => Policies#{balanced => maps:merge(Policy, P)}} end,
    [?assertEqual({Config, {error, Reason}}, {Config, ref_router:configure(Config)})
     || {Config, Reason} <-
            [{[], {invalid_value, [], [], map}},
             {#{tennants => #{}}, {unknown_key, [tennants]}},
             {#{intake => #{max_inflight => 1}}, {unknown_key, [intake, max_inflight]}},
             {#{intake => #{max_queue => -1}},
              {invalid_value, [intake, max_queue], -1, {integer, 0, 16#FFFFFF}}},
             {#{intake => #{low_watermark => 8000}},
              {invalid_value, [intake, low_watermark], 8000, {below, 8000}}},
             {#{intake => #{max_in_flight => 1, max_queue => 1, high_watermark => 3,
                            low_watermark => 0}},
              {invalid_value, [intake, high_watermark], 3, {at_most, 2}}},
             {#{tenants => #{acme => balanced}},
              {invalid_value, [tenants, acme], acme, binary}},
             {#{tenants => #{<<"x">> => absent}},
              {invalid_value, [tenants, <<"x">>], absent, {known, policy}}},
             {#{policies => #{balanced => #{}}},
              {missing_key, [policies, balanced, weights]}},
             {PolicyWith(#{weights => [{alpha, 0}]}),
              {invalid_value, [policies, balanced, weights, alpha], 0, {integer, 1, 1_000_000}}},
             {PolicyWith(#{weights => []}),
              {invalid_value, [policies, balanced, weights], [], nonempty_list}},
             {PolicyWith(#{weights => [{zulu, 1}]}),
              {invalid_value, [policies, balanced, weights], zulu, {known, provider}}},
             {PolicyWith(#{fallbacks => [alpha, alpha]}),
              {invalid_value, [policies, balanced, fallbacks], [alpha, alpha], distinct_atoms}},
             {PolicyWith(#{ttl => 1}), {unknown_key, [policies, balanced, ttl]}},
             {Provider(#{breaker => #{window => 1}}),
              {unknown_key, [providers, alpha, breaker, window]}},
             {Provider(#{breaker => #{open_ms => 1.5}}),
              {invalid_value, [providers, alpha, breaker, open_ms], 1.5,
               {integer, 1, 86_400_000}}},
             {Provider(#{transport => lists}),
              {invalid_value, [providers, alpha, transport], lists, transport_module}}]],
    ?assertEqual({ok, ref_router_config:defaults()}, ref_router_config:validate(#{})).

a_refused_configuration_changes_nothing(_Config) ->
    ok = configure(#{}, #{}),
    Before = ref_router_runtime:get(),
    {error, _} = ref_router:configure(#{policies => #{}}),
    ?assertEqual(Before, ref_router_runtime:get()),
    ?assertMatch({ok, #{provider := a}}, route(ok)).

a_new_configuration_is_never_seen_in_part(_Config) ->
    %% Two configurations without a policy or provider in common: a caller that saw parts of both
    %% would crash, and one whose table was deleted under it would get an error.
    One = whole(#{}, #{}),
    Two = #{tenants => #{<<"t">> => q},
            policies => #{q => #{weights => [{x, 1}]}},
            providers => #{x => #{transport => ?MODULE}}},
    ok = ref_router:configure(One),
    Stop = atomics:new(1, []),
    Callers = [spawn_monitor(fun() -> route_until(Stop) end) || _ <- [1, 2, 3]],
    [ok = ref_router:configure(C) || _ <- lists:seq(1, 50), C <- [Two, One]],
    ok = atomics:put(Stop, 1, 1),
    [receive {'DOWN', M, process, P, Reason} -> ?assertEqual(normal, Reason) end
     || {P, M} <- Callers],
    ?assertMatch(#{errors_total := 0, in_flight := 0}, ref_router:counters()).

route_until(Stop) ->
    {ok, #{provider := Provider, policy := Policy}} = ref_router:route(session(<<"s">>)),
    true = lists:member({Provider, Policy}, [{a, p}, {x, q}]),
    case atomics:get(Stop, 1) of
        0 -> route_until(Stop);
        1 -> ok
    end.

a_caller_overtaken_by_a_new_configuration_goes_on_with_that(_Config) ->
    ok = configure(#{}, #{}),
    Old = ref_router_runtime:get(),
    ok = configure(#{}, #{}),
    New = ref_router_runtime:get(),
    ?assertMatch({ok, New, _}, ref_router_runtime:policy(<<"t">>, Old)),
    %% Without a new one, as while the owner is being restarted, it ends.
    ok = ref_router_runtime:publish(Old),
    ?assertEqual({error, unavailable}, route(ok)).

%% Life cycle

a_killed_owner_comes_back_with_the_last_configuration(_Config) ->
    ok = configure(#{}, #{}),
    {ok, _} = route(ok),
    ok = kill(ref_router_owner, [ref_router_owner, ref_router_queue, ref_router_janitor]),
    ?assertMatch({ok, #{provider := a, policy := p}}, route(ok)),
    ?assertMatch(#{routed_total := 2, in_flight := 0}, ref_router:counters()).

a_killed_queue_fails_its_waiters_and_comes_back_empty(_Config) ->
    ok = configure(#{intake => limits(1, 1)}, #{}),
    1 = ref_router_intake:hold(1),
    Self = self(),
    _ = spawn_link(fun() -> Self ! {outcome, route(ok)} end),
    ok = until(fun() -> ref_router_intake:queued() =:= 1 end),
    ok = kill(ref_router_queue, [ref_router_queue, ref_router_janitor]),
    receive {outcome, Outcome} -> ?assertEqual({error, unavailable}, Outcome) end,
    ?assertMatch({ok, _}, route(ok)),
    ?assertMatch(#{in_flight := 0, queued := 0, errors_total := 1}, ref_router:counters()).

a_killed_janitor_disturbs_nobody(_Config) ->
    Table = maps:get(sessions, ref_router_runtime:get()),
    ok = ref_router_session:bind(Table, 10, none, {<<"t">>, <<"s">>},
                                 {a, erlang:monotonic_time(millisecond)}),
    ok = kill(ref_router_janitor, [ref_router_janitor]),
    ref_router_janitor ! sweep_sessions,
    ref_router_janitor ! expire_lease,
    _ = sys:get_state(ref_router_janitor),
    ?assertMatch(#{sessions := 0}, ref_router:counters()).

stopping_leaves_nothing_behind(_Config) ->
    ok = application:stop(ref_router),
    Before = footprint(),
    ok = application:start(ref_router),
    {ok, _} = ref_router:route(#{tenant => <<"acme">>, session => <<"s">>}),
    ?assertNotEqual(Before, footprint()),
    ok = application:stop(ref_router),
    ?assertEqual(Before, footprint()).

a_bad_environment_refuses_to_start_and_leaves_nothing_behind(_Config) ->
    ok = application:stop(ref_router),
    Before = footprint(),
    ok = application:set_env(ref_router, config, #{tenantz => 1}),
    {error, Reason} = application:start(ref_router),
    ?assertNotEqual(nomatch, string:find(io_lib:format("~p", [Reason]), "tenantz")),
    ?assertEqual(Before, footprint()).

%% What the application could leave behind, by name.
footprint() ->
    Names = [N || N <- [T || T <- ets:all(), is_atom(T)] ++ registered()
                      ++ [ets:info(T, name) || T <- ets:all(), is_reference(T)], is_ours(N)],
    {lists:sort(Names), lists:sort([K || {K, _} <- persistent_term:get(), is_ours(K)])}.

is_ours(Name) ->
    string:find(io_lib:format("~p", [Name]), "ref_router") =/= nomatch.

%% Helpers

deliver(Provider, #{payload := Play}) when is_function(Play, 1) -> Play(Provider);
deliver(_Provider, _Message) -> ok.

configure(Config, Policy) ->
    ref_router:configure(whole(Config, Policy)).

%% Two tenants with one policy; all goes to `a' unless the policy says otherwise. A single failure
%% opens a breaker if it makes more than half of a window.
whole(Config, Policy) ->
    maps:merge(#{tenants => #{<<"t">> => p, <<"u">> => p},
                 policies => #{p => maps:merge(#{weights => [{a, 1}]}, Policy)},
                 providers => maps:from_list(
                                [{P, #{transport => ?MODULE,
                                       breaker => #{minimum_volume => 10, open_ms => 60_000}}}
                                 || P <- [a, b, c]])}, Config).

limits(MaxInFlight, MaxQueue) ->
    #{max_in_flight => MaxInFlight, max_queue => MaxQueue,
      high_watermark => MaxInFlight + MaxQueue, low_watermark => 0}.

route(Play) ->
    ref_router:route(message(Play)).

message(Play) ->
    #{tenant => <<"t">>, payload => Play}.

session(Session) ->
    #{tenant => <<"t">>, session => Session}.

route_in_default(Do) ->
    ok = configure(#{}, #{}),
    route(fun(_) -> Do(), ok end).

run(Mode, Message, NowNs) ->
    ref_router_decision:run(Mode, Message, fun(nanosecond) -> NowNs end).

%% A time that no breaker opened before now is still open at.
later(Ms) ->
    erlang:monotonic_time(nanosecond) + ?NS(60_000 + Ms).

%% Opens the breaker of a provider by failures that only it hears of.
open(Provider) ->
    {Breaker, _} = ref_router_runtime:provider(ref_router_runtime:get(), Provider),
    NowMs = erlang:monotonic_time(millisecond),
    ok = until(fun() -> fail(Breaker, NowMs) =:= opened end),
    ref_router_counters:add(breaker_opened_total).

breaker(Settings) ->
    ref_router_breaker:new(maps:merge(#{minimum_volume => 1, error_threshold_percent => 50,
                                        window_ms => 1000, open_ms => 1000,
                                        half_open_probes => 1}, Settings), 0).

opened(Settings) ->
    Breaker = breaker(Settings),
    ok = until(fun() -> fail(Breaker, 0) =:= opened end),
    Breaker.

fail(Breaker, NowMs) ->
    report(Breaker, failure, NowMs).

report(Breaker, Result, NowMs) ->
    Permit = ref_router_breaker:allow(Breaker, NowMs),
    ?assertNotEqual(open, Permit),
    ref_router_breaker:report(Breaker, Permit, Result, NowMs).

edges() ->
    #{backpressure_active_total := Up, backpressure_cleared_total := Down} = ref_router:counters(),
    {Up, Down}.

result(true) -> ok;
result(false) -> {error, refused}.

received() ->
    receive Message -> [Message | received()]
    after 0 -> []
    end.

block() ->
    receive never -> ok end.

kill(Name, Restarted) ->
    Before = [whereis(N) || N <- Restarted],
    true = exit(whereis(Name), kill),
    until(fun() ->
                  Now = [whereis(N) || N <- Restarted],
                  not lists:member(undefined, Now) andalso Now -- Before =:= Now
          end).

%% Waits for another process by asking again; the time trap of the suite is the limit.
until(Condition) ->
    case Condition() of
        true -> ok;
        false -> erlang:yield(), until(Condition)
    end.
