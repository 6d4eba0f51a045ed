%% @doc What must always hold, tried on many seeds. A failure prints its seed:
%% `rand:seed(exsss, Seed)' and the property again show the same case.
-module(ref_router_prop_SUITE).
-behaviour(ref_router_transport).
-compile([export_all, nowarn_export_all]).

-include_lib("common_test/include/ct.hrl").
-include_lib("stdlib/include/assert.hrl").

-define(NS(Ms), ((Ms) * 1_000_000)).

all() ->
    [every_provider_has_as_many_points_as_its_weight,
     weights_are_met_within_six_standard_deviations,
     a_bucket_never_gives_more_than_burst_and_rate_whoever_asks,
     a_bucket_left_alone_is_full_again_and_no_fuller,
     a_breaker_opens_exactly_when_its_window_says_so,
     concurrent_failures_open_a_breaker_once,
     no_message_reaches_an_open_provider_nor_leaves_a_live_session,
     edges_follow_the_watermarks_for_any_load,
     concurrent_callers_count_an_edge_once,
     concurrent_callers_never_exceed_a_limit_and_all_come_to_an_end,
     killed_callers_leave_nothing_in_flight,
     a_frame_is_read_as_it_was_written_and_no_damage_goes_unseen].

suite() ->
    [{timetrap, {seconds, 30}}].

init_per_testcase(_Case, Config) ->
    {ok, _} = application:ensure_all_started(ref_router),
    Config.

end_per_testcase(_Case, _Config) ->
    _ = application:stop(ref_router),
    ok = application:unset_env(ref_router, config).

%% Weights

every_provider_has_as_many_points_as_its_weight(_Config) ->
    for_all(100, fun() ->
        Weights = random_weights(),
        Policy = compile(Weights),
        Points = lists:seq(0, ref_router_policy:total_weight(Policy) - 1),
        ?assertEqual(maps:from_list(Weights),
                     tally([ref_router_policy:pick(Policy, Point) || Point <- Points]))
    end).

weights_are_met_within_six_standard_deviations(_Config) ->
    Draws = 20_000,
    for_all(10, fun() ->
        Weights = random_weights(),
        Total = lists:sum([W || {_, W} <- Weights]),
        ok = configure(#{}, #{weights => Weights}),
        Start = erlang:monotonic_time(nanosecond),
        Picked = tally([provider(#{tenant => <<"t">>}, Start + I * rand:uniform(10_000))
                        || I <- lists:seq(1, Draws)]),
        [begin
             Share = Weight / Total,
             Deviation = math:sqrt(Draws * Share * (1 - Share)),
             ?assert(abs(maps:get(Id, Picked, 0) - Draws * Share) =< 6 * Deviation + 1)
         end || {Id, Weight} <- Weights]
    end).

provider(Message, NowNs) ->
    {ok, #{provider := Provider}} =
        ref_router_decision:run(decide, Message, fun(nanosecond) -> NowNs end),
    Provider.

%% Token bucket

a_bucket_never_gives_more_than_burst_and_rate_whoever_asks(_Config) ->
    for_all(50, fun() ->
        RatePerSecond = rand:uniform(10_000),
        Burst = rand:uniform(10_000),
        SpanNs = rand:uniform(10_000_000),
        Start = -rand:uniform(1_000_000_000_000),
        Bucket = ref_router_bucket:new(RatePerSecond, Burst, Start),
        %% Each asks at times of its own, in any order.
        Times = [[Start + rand:uniform(SpanNs) || _ <- lists:seq(1, 6_000)] || _ <- [1, 2, 3, 4]],
        Taken = in_parallel([fun() -> length([T || T <- Own, ref_router_bucket:take(Bucket, T)]) end
                             || Own <- Times]),
        ?assert(lists:sum(Taken) =< Burst + RatePerSecond * SpanNs div 1_000_000_000)
    end).

a_bucket_left_alone_is_full_again_and_no_fuller(_Config) ->
    for_all(50, fun() ->
        Burst = rand:uniform(500),
        Bucket = ref_router_bucket:new(rand:uniform(1_000), Burst, 0),
        [begin
             Taken = [T || T <- lists:seq(0, Burst), ref_router_bucket:take(Bucket, NowNs)],
             ?assertEqual(Burst, length(Taken))
         end || NowNs <- [0, 600 * 1_000_000_000]]
    end).

%% Circuit breaker

a_breaker_opens_exactly_when_its_window_says_so(_Config) ->
    for_all(200, fun() ->
        Settings = #{minimum_volume => rand:uniform(10),
                     error_threshold_percent => rand:uniform(100),
                     window_ms => 100, open_ms => 1, half_open_probes => 1},
        Start = -rand:uniform(1_000_000) * 100 - 100_000,
        Breaker = ref_router_breaker:new(Settings, Start),
        run_until_open(Breaker, Settings, Start, #{}, 200)
    end).

run_until_open(_Breaker, _Settings, _NowMs, _Windows, 0) ->
    ok;
run_until_open(Breaker, Settings, NowMs, Windows, Steps) ->
    Result = element(rand:uniform(3), {success, success, failure}),
    Window = NowMs div 100,
    {Failures, Volume} = maps:get(Window, Windows, {0, 0}),
    Now = case Result of
              failure -> {Failures + 1, Volume + 1};
              success -> {Failures, Volume + 1}
          end,
    Permit = ref_router_breaker:allow(Breaker, NowMs),
    case {ref_router_breaker:report(Breaker, Permit, Result, NowMs), is_too_bad(Settings, Now)} of
        {opened, true} ->
            ?assertEqual(open, ref_router_breaker:state(Breaker));
        {ok, false} ->
            run_until_open(Breaker, Settings, NowMs + rand:uniform(20) - 1,
                           #{Window => Now}, Steps - 1)
    end.

is_too_bad(#{minimum_volume := Minimum, error_threshold_percent := Percent}, {Failures, Volume}) ->
    Failures > 0 andalso Volume >= Minimum andalso Failures / Volume >= Percent / 100.

concurrent_failures_open_a_breaker_once(_Config) ->
    for_all(100, fun() ->
        Minimum = rand:uniform(50),
        Breaker = ref_router_breaker:new(#{minimum_volume => Minimum, window_ms => 1000,
                                           error_threshold_percent => 50, open_ms => 1000,
                                           half_open_probes => 1}, 0),
        Permits = [ref_router_breaker:allow(Breaker, 0) || _ <- lists:seq(1, Minimum)],
        Report = fun() -> [ref_router_breaker:report(Breaker, P, failure, 0) || P <- Permits] end,
        Reports = lists:append(in_parallel([Report, Report, Report, Report])),
        ?assertEqual(1, length([R || R <- Reports, R =:= opened]))
    end).

%% Flow

no_message_reaches_an_open_provider_nor_leaves_a_live_session(_Config) ->
    Ttl = 200,
    for_all(20, fun() ->
        Breaker = #{minimum_volume => 3, window_ms => 100, open_ms => 50, half_open_probes => 1},
        ok = configure(#{providers => providers(Breaker)},
                       #{weights => [{P, rand:uniform(9)} || P <- [a, b, c]],
                         fallbacks => shuffled([a, b, c, d]), sticky_ttl_ms => Ttl}),
        Start = erlang:monotonic_time(millisecond) + 1_000,
        lists:foldl(fun flow_step/2, {Start, Ttl, #{}}, lists:seq(1, 500))
    end).

%% The model of the sessions: session => {Provider, UntilMs}.
flow_step(_Step, {NowMs, Ttl, Sessions}) ->
    Failing = [P || P <- [a, b, c, d], rand:uniform(3) =:= 1],
    Session = integer_to_binary(rand:uniform(8)),
    Play = fun(Provider) ->
                   ?assertNotEqual(open, maps:get(Provider, ref_router:breakers())),
                   case lists:member(Provider, Failing) of
                       true -> {error, refused};
                       false -> ok
                   end
           end,
    Open = [P || {P, open} <- maps:to_list(ref_router:breakers())],
    Message = #{tenant => <<"t">>, session => Session, payload => Play},
    Outcome = ref_router_decision:run(deliver, Message, fun(nanosecond) -> ?NS(NowMs) end),
    Live = case Sessions of
               #{Session := {Bound, UntilMs}} when NowMs < UntilMs -> Bound;
               _ -> none
           end,
    Next = case Outcome of
               {ok, #{provider := Live, reason := sticky}} ->
                   Sessions;
               {ok, #{provider := Provider, reason := Reason}} ->
                   ?assertNotEqual(sticky, Reason),
                   %% A live session moves only away from who was open or has just failed.
                   ?assert(Live =:= none orelse lists:member(Live, Open ++ Failing)
                           orelse maps:get(Live, ref_router:breakers()) =/= closed),
                   Sessions#{Session => {Provider, NowMs + Ttl}};
               {error, {no_provider, _Why}} ->
                   Sessions
           end,
    {NowMs + rand:uniform(30) - 1, Ttl, Next}.

%% Intake

edges_follow_the_watermarks_for_any_load(_Config) ->
    for_all(50, fun() ->
        Max = 1 + rand:uniform(30),
        High = 1 + rand:uniform(Max - 1),
        Low = rand:uniform(High) - 1,
        ok = configure(#{intake => #{max_in_flight => Max, max_queue => 0, high_watermark => High,
                                     low_watermark => Low}}, #{}),
        {Up, Down} = edges(),
        _ = lists:foldl(
              fun(_, {Load, IsActive, Ups, Downs}) ->
                      {Next, Passed} = random_load(Load),
                      Model = lists:foldl(fun(L, M) -> edge(L, High, Low, M) end,
                                          {IsActive, Ups, Downs}, Passed),
                      {NowActive, NowUps, NowDowns} = Model,
                      ?assertEqual({NowUps, NowDowns}, edges()),
                      ?assertEqual(NowActive, ref_router_intake:is_backpressure_active()),
                      {Next, NowActive, NowUps, NowDowns}
              end, {0, false, Up, Down}, lists:seq(1, 50)),
        ref_router_intake:release(Max)
    end).

%% Takes or gives back some slots; answers the load and every load passed on the way.
random_load(Load) ->
    case rand:uniform(2) of
        1 -> Held = ref_router_intake:hold(rand:uniform(10)),
             {Load + Held, lists:seq(Load + 1, Load + Held)};
        2 -> Released = ref_router_intake:release(rand:uniform(10)),
             {Load - Released, lists:seq(Load - 1, Load - Released, -1)}
    end.

edge(Load, High, _Low, {false, Up, Down}) when Load >= High -> {true, Up + 1, Down};
edge(Load, _High, Low, {true, Up, Down}) when Load =< Low -> {false, Up, Down + 1};
edge(_Load, _High, _Low, Model) -> Model.

concurrent_callers_count_an_edge_once(_Config) ->
    ok = configure(#{intake => #{max_in_flight => 1_000, max_queue => 0, high_watermark => 40,
                                 low_watermark => 0}}, #{}),
    %% In each block all of them together cross the high watermark once, then the low one once.
    for_all(200, fun() ->
        {Up, Down} = edges(),
        Shares = [rand:uniform(50) || _ <- [1, 2, 3, 4]],
        Held = in_parallel([fun() -> ref_router_intake:hold(40 + S) end || S <- Shares]),
        ?assertEqual({Up + 1, Down}, edges()),
        _ = in_parallel([fun() -> ref_router_intake:release(H) end || H <- Held]),
        ?assertEqual({Up + 1, Down + 1}, edges()),
        ?assertEqual(0, ref_router_intake:in_flight())
    end).

concurrent_callers_never_exceed_a_limit_and_all_come_to_an_end(_Config) ->
    for_all(10, fun() ->
        MaxInFlight = rand:uniform(4),
        MaxQueue = rand:uniform(10) - 1,
        High = rand:uniform(MaxInFlight + MaxQueue),
        ok = configure(#{intake => #{max_in_flight => MaxInFlight, max_queue => MaxQueue,
                                     high_watermark => High, low_watermark => High - 1}}, #{}),
        Before = ref_router:counters(),
        Inside = atomics:new(1, []),
        Play = fun(_) ->
                       ?assert(atomics:add_get(Inside, 1, 1) =< MaxInFlight),
                       ?assert(ref_router_intake:queued() =< MaxQueue),
                       erlang:yield(),
                       atomics:sub(Inside, 1, 1)
               end,
        Call = fun() -> element(1, ref_router:route(#{tenant => <<"t">>, payload => Play})) end,
        Callers = 20,
        Outcomes = tally(lists:append(
            in_parallel([fun() -> [Call() || _ <- lists:seq(1, 100)] end
                         || _ <- lists:seq(1, Callers)]))),
        After = ref_router:counters(),
        Moved = fun(Name) -> maps:get(Name, After) - maps:get(Name, Before) end,
        ?assertEqual([], maps:keys(maps:without([ok, rejected], Outcomes))),
        ?assertEqual(Callers * 100, Moved(routed_total) + Moved(rejected_total)),
        ?assertEqual(maps:get(ok, Outcomes), Moved(routed_total)),
        ?assertEqual(Moved(backpressure_active_total), Moved(backpressure_cleared_total)),
        ?assertMatch(#{in_flight := 0, queued := 0}, After)
    end).

killed_callers_leave_nothing_in_flight(_Config) ->
    for_all(20, fun() ->
        ok = configure(#{intake => #{max_in_flight => 3, max_queue => 20, high_watermark => 5,
                                     low_watermark => 1}}, #{}),
        Play = fun(_) -> erlang:yield(), ok end,
        Callers = [spawn_monitor(
                     fun() ->
                             [ref_router:route(#{tenant => <<"t">>, payload => Play})
                              || _ <- lists:seq(1, 50)]
                     end) || _ <- lists:seq(1, 15)],
        [exit(P, kill) || {P, _} <- Callers, rand:uniform(2) =:= 1],
        %% The janitor's chore, for as long as those that live wait for slots of those killed.
        ok = ended(Callers),
        _ = [ref_router_intake:expire_lease() || _ <- [1, 2]],
        ?assertMatch(#{in_flight := 0, queued := 0}, ref_router:counters())
    end).

ended([]) ->
    ok;
ended([{Pid, Monitor} | Callers] = All) ->
    receive
        {'DOWN', Monitor, process, Pid, _Reason} -> ended(Callers)
    after 0 ->
        _ = ref_router_intake:expire_lease(),
        erlang:yield(),
        ended(All)
    end.

%% Frames

a_frame_is_read_as_it_was_written_and_no_damage_goes_unseen(_Config) ->
    for_all(300, fun() ->
        Message = #{tenant => random_text(), session => random_text(),
                    payload => #{number => rand:uniform(1_000_000), body => random_text()}},
        #{tenant := Tenant, session := Session, payload := Payload} = Message,
        Frame = ref_router_transport_frame:encode(alpha, Message),
        {ok, Headers, Body} = ref_router_transport_frame:decode(Frame),
        ?assertMatch(#{<<"destination">> := <<"alpha">>, <<"tenant">> := Tenant,
                       <<"session">> := Session}, Headers),
        ?assertEqual(Payload, binary_to_term(Body)),
        % A bit of the body, and any end cut off.
        At = byte_size(Frame) - 1 - rand:uniform(byte_size(Body)),
        <<Before:At/binary, Byte, After/binary>> = Frame,
        Flipped = <<Before/binary, (Byte bxor (1 bsl rand:uniform(7))), After/binary>>,
        ?assertEqual({error, damaged}, ref_router_transport_frame:decode(Flipped)),
        Cut = binary:part(Frame, 0, rand:uniform(byte_size(Frame)) - 1),
        ?assertEqual({error, damaged}, ref_router_transport_frame:decode(Cut))
    end).

random_text() ->
    << <<(lists:nth(rand:uniform(8), [$\r, $\n, $:, $\\, 0, 255, $a, $n]))>>
       || _ <- lists:seq(1, rand:uniform(30) - 1) >>.

%% Helpers

deliver(Provider, #{payload := Play}) -> Play(Provider);
deliver(_Provider, _Message) -> ok.

for_all(Seeds, Property) ->
    lists:foreach(
      fun(Seed) ->
              _ = rand:seed(exsss, Seed),
              try Property()
              catch
                  Class:Reason:Stacktrace ->
                      ct:pal("the property fails with seed ~p", [Seed]),
                      erlang:raise(Class, Reason, Stacktrace)
              end
      end, lists:seq(1, Seeds)).

configure(Config, Policy) ->
    Defaults = #{tenants => #{<<"t">> => p},
                 policies => #{p => maps:merge(#{weights => [{a, 1}]}, Policy)},
                 providers => providers(#{})},
    ref_router:configure(maps:merge(Defaults, Config)).

providers(Breaker) ->
    maps:from_list([{P, #{transport => ?MODULE, breaker => Breaker}} || P <- [a, b, c, d]]).

random_weights() ->
    [{P, rand:uniform(50)} || P <- lists:sublist([a, b, c, d], rand:uniform(4))].

compile(Weights) ->
    ref_router_policy:compile(p, #{weights => Weights, fallbacks => [], rate_per_second => 1,
                                   burst => 1, sticky_ttl_ms => 0}).

tally(Items) ->
    lists:foldl(fun(Item, Tally) ->
                        maps:update_with(Item, fun(N) -> N + 1 end, 1, Tally)
                end, #{}, Items).

shuffled(Items) ->
    [Item || {_, Item} <- lists:sort([{rand:uniform(), Item} || Item <- Items])].

edges() ->
    #{backpressure_active_total := Up, backpressure_cleared_total := Down} = ref_router:counters(),
    {Up, Down}.

%% Runs each function in a process of its own, all let go together; results in their order.
in_parallel(Funs) ->
    Self = self(),
    Workers = [spawn_link(fun() -> receive go -> Self ! {self(), Fun()} end end) || Fun <- Funs],
    [Worker ! go || Worker <- Workers],
    [receive {Worker, Result} -> Result end || Worker <- Workers].

until(Condition) ->
    case Condition() of
        true -> ok;
        false -> erlang:yield(), until(Condition)
    end.
