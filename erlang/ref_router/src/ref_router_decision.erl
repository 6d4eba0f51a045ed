%% @doc The way of one message that the intake let in: policy, bucket, provider, delivery.
%%
%% The first provider is the one of the session if its breaker lets pass, else one chosen by
%% weight. If that one is open or fails, the fallbacks of the policy are tried in their order, each
%% once. A policy without fallbacks therefore fails for as long as the provider chosen is open.
%%
%% The clock is an argument, so that a test is its own master of time.
%% @private
-module(ref_router_decision).

-export([run/3]).
-export_type([mode/0, decision/0, why/0, clock/0]).

-type mode() :: deliver | decide.
-type clock() :: fun((nanosecond) -> integer()).
-type why() :: {open | failed, ref_router_config:provider_id()}.
-type decision() :: #{provider := ref_router_config:provider_id(),
                      policy := ref_router_config:policy_id(),
                      reason := sticky | weighted | {fallback, why()},
                      attempts := non_neg_integer()}.

-record(call, {mode :: mode(),
               message :: ref_router:message(),
               clock :: clock(),
               runtime :: ref_router_runtime:runtime(),
               policy :: ref_router_policy:policy()}).

%% @doc Decides on a message; in mode `deliver' the decision is what delivered it. `attempts' is
%% the number of deliveries tried.
-spec run(mode(), ref_router:message(), clock()) ->
    {ok, decision()}
  | {rejected, rate_limited}
  | {error, unknown_tenant | unavailable | {no_provider, why()}}.
run(Mode, #{tenant := Tenant} = Message, Clock) ->
    case ref_router_runtime:policy(Tenant) of
        {ok, Runtime, Policy} ->
            NowNs = Clock(nanosecond),
            Bucket = ref_router_runtime:bucket(Runtime, ref_router_policy:id(Policy)),
            case ref_router_bucket:take(Bucket, NowNs) of
                true ->
                    choose(#call{mode = Mode, message = Message, clock = Clock,
                                 runtime = Runtime, policy = Policy}, NowNs);
                false ->
                    {rejected, rate_limited}
            end;
        {error, _} = Error ->
            Error
    end.

choose(Call, NowNs) ->
    NowMs = to_ms(NowNs),
    Found = find_session(Call, NowMs),
    {Reason, Provider, Permit} = first(Call, Found, NowNs, NowMs),
    case attempt(Call, Provider, Permit) of
        ok ->
            decided(Call, Found, Provider, Reason, 0);
        Why ->
            Fallbacks = lists:delete(Provider, ref_router_policy:fallbacks(Call#call.policy)),
            fall_back(Call, Found, Fallbacks, Why, failures(Why))
    end.

first(Call, {live, Provider}, NowNs, NowMs) ->
    case allow(Call, Provider, NowMs) of
        open -> weighted(Call, NowNs, NowMs);
        Permit -> {sticky, Provider, Permit}
    end;
first(Call, _NoSession, NowNs, NowMs) ->
    weighted(Call, NowNs, NowMs).

%% A hash of caller and time is random enough for a share of traffic, and needs no state: neither
%% one that callers would contend for nor one in the dictionary of a process that is not ours.
weighted(#call{policy = Policy} = Call, NowNs, NowMs) ->
    Point = erlang:phash2({self(), NowNs}, ref_router_policy:total_weight(Policy)),
    Provider = ref_router_policy:pick(Policy, Point),
    {weighted, Provider, allow(Call, Provider, NowMs)}.

fall_back(_Call, _Found, [], Why, _Failures) ->
    {error, {no_provider, Why}};
fall_back(Call, Found, [Provider | Fallbacks], Why, Failures) ->
    case attempt(Call, Provider, allow(Call, Provider, now_ms(Call))) of
        ok -> decided(Call, Found, Provider, {fallback, Why}, Failures);
        WhyNot -> fall_back(Call, Found, Fallbacks, WhyNot, Failures + failures(WhyNot))
    end.

failures({open, _Provider}) -> 0;
failures({failed, _Provider}) -> 1.

%% Answers `ok', or why this provider did not take the message.
attempt(_Call, Provider, open) ->
    {open, Provider};
attempt(#call{mode = decide, runtime = Runtime}, Provider, Permit) ->
    {Breaker, _Transport} = ref_router_runtime:provider(Runtime, Provider),
    ref_router_breaker:release(Breaker, Permit);
attempt(#call{message = Message, runtime = Runtime} = Call, Provider, Permit) ->
    {Breaker, Transport} = ref_router_runtime:provider(Runtime, Provider),
    try Transport:deliver(Provider, Message) of
        ok ->
            report(Call, Breaker, Permit, success);
        {error, _Reason} ->
            ok = report(Call, Breaker, Permit, failure),
            {failed, Provider}
    catch
        Class:Reason:Stacktrace ->
            ok = report(Call, Breaker, Permit, failure),
            erlang:raise(Class, Reason, Stacktrace)
    end.

report(Call, Breaker, Permit, Result) ->
    case ref_router_breaker:report(Breaker, Permit, Result, now_ms(Call)) of
        opened -> ref_router_counters:add(breaker_opened_total);
        ok -> ok
    end.

allow(#call{runtime = Runtime}, Provider, NowMs) ->
    {Breaker, _Transport} = ref_router_runtime:provider(Runtime, Provider),
    ref_router_breaker:allow(Breaker, NowMs).

decided(#call{mode = Mode, policy = Policy} = Call, Found, Provider, Reason, Failures) ->
    ok = bind_session(Call, Found, Provider, Reason),
    {ok, #{provider => Provider,
           policy => ref_router_policy:id(Policy),
           reason => Reason,
           attempts => case Mode of deliver -> Failures + 1; decide -> 0 end}}.

find_session(#call{message = #{session := Session, tenant := Tenant},
                   runtime = #{sessions := Table}}, NowMs) ->
    ref_router_session:find(Table, {Tenant, Session}, NowMs);
find_session(_Call, _NowMs) ->
    none.

bind_session(_Call, _Found, _Provider, sticky) ->
    ok;
bind_session(#call{message = #{session := Session, tenant := Tenant}, policy = Policy,
                   runtime = #{sessions := Table,
                               config := #{sessions := #{max_sessions := Max}}}} = Call,
             Found, Provider, _Reason) ->
    case ref_router_policy:sticky_ttl_ms(Policy) of
        0 ->
            ok;
        TtlMs ->
            UntilMs = now_ms(Call) + TtlMs,
            case ref_router_session:bind(Table, Max, Found, {Tenant, Session},
                                         {Provider, UntilMs}) of
                ok -> ok;
                full -> ref_router_counters:add(sessions_full_total)
            end
    end;
bind_session(_Call, _Found, _Provider, _Reason) ->
    ok.

now_ms(#call{clock = Clock}) ->
    to_ms(Clock(nanosecond)).

to_ms(Ns) ->
    Ns div 1_000_000.
