%% @doc A reference message router: it decides which provider takes a message, and delivers it.
%%
%% A call runs in the process of its caller, without a message to any other, unless it has to wait
%% at the intake: intake, tenant, policy, token bucket, session, circuit breaker, weights,
%% fallbacks, delivery.
-module(ref_router).

-export([configure/1, route/1, decide/1, counters/0, breakers/0]).
-export_type([message/0, outcome/0]).

-type message() :: #{tenant := ref_router_config:tenant(),
                     session => binary(),
                     payload => term()}.
-type outcome() :: {ok, ref_router_decision:decision()}
                 | {rejected, overloaded | rate_limited}
                 | {error, not_started | unavailable | invalid_message | unknown_tenant
                         | {no_provider, ref_router_decision:why()}}.

%% @doc Puts a configuration into force. What it leaves out has a default, see
%% {@link ref_router_config}; an error names the key. Buckets are full, breakers closed and
%% sessions forgotten after it; counters and callers in flight go on. For now and then: every
%% process of the node collects its garbage.
-spec configure(term()) -> ok | {error, ref_router_config:reason() | not_started}.
configure(Config) ->
    ref_router_owner:configure(Config).

%% @doc Routes a message: decides and delivers. An exception of the transport reaches the caller.
-spec route(message()) -> outcome().
route(Message) ->
    admit(deliver, Message).

%% @doc Only decides: all that {@link route/1} does, a token and the session's binding included,
%% but nothing is delivered and no breaker hears of a result.
-spec decide(message()) -> outcome().
decide(Message) ->
    admit(decide, Message).

%% @doc All figures; see {@link ref_router_counters:table/0} for units and meanings.
-spec counters() -> ref_router_counters:counters().
counters() ->
    ref_router_counters:read().

%% @doc The state of the circuit breaker of every provider.
-spec breakers() -> #{ref_router_config:provider_id() => ref_router_breaker:state()}.
breakers() ->
    ref_router_runtime:breakers().

admit(Mode, Message) ->
    case ref_router_intake:enter() of
        {ok, Slot} ->
            try run(Mode, Message) of
                Outcome -> count(Mode, Outcome)
            catch
                Class:Reason:Stacktrace ->
                    ok = ref_router_counters:add(errors_total),
                    erlang:raise(Class, Reason, Stacktrace)
            after
                ref_router_intake:leave(Slot)
            end;
        Refused ->
            count(Mode, Refused)
    end.

run(Mode, Message) ->
    case is_valid(Message) of
        true -> ref_router_decision:run(Mode, Message, fun erlang:monotonic_time/1);
        false -> {error, invalid_message}
    end.

is_valid(#{tenant := Tenant, session := Session}) -> is_binary(Tenant) andalso is_binary(Session);
is_valid(#{tenant := Tenant}) -> is_binary(Tenant);
is_valid(_Message) -> false.

count(Mode, Outcome) ->
    ok = count_outcome(Mode, Outcome),
    Outcome.

count_outcome(Mode, {ok, #{reason := {fallback, _Why}}}) ->
    ok = ref_router_counters:add(fallbacks_total),
    ref_router_counters:add(total(Mode));
count_outcome(Mode, {ok, _Decision}) -> ref_router_counters:add(total(Mode));
count_outcome(_Mode, {error, _Reason}) -> ref_router_counters:add(errors_total);
count_outcome(_Mode, {rejected, rate_limited}) -> ref_router_counters:add(rate_limited_total);
count_outcome(_Mode, {rejected, overloaded}) -> ref_router_counters:add(overloaded_total).

total(deliver) -> routed_total;
total(decide) -> decided_total.
