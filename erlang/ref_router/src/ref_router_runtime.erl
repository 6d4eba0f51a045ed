%% @doc A configuration in force: what the hot path needs, behind one `persistent_term'.
%%
%% A new configuration is a new runtime as a whole, with full buckets, closed breakers and no
%% sessions. It is published before the tables of the one before are deleted; a caller caught in
%% between finds its table gone and starts over with the new one. So no caller ever sees parts of
%% two configurations.
%% @private
-module(ref_router_runtime).

-export([new/2, publish/1, retire/1, erase/0, get/0, policy/1, policy/2, bucket/2, provider/2,
         limits/0, sessions/0, breakers/0]).
-export_type([runtime/0, provider/0]).

-define(HANDLE, {?MODULE, handle}).

-type provider() :: {ref_router_breaker:breaker(), Transport :: module()}.
-type runtime() :: #{policies := ets:tid(),
                     sessions := ref_router_session:table(),
                     buckets := #{ref_router_config:policy_id() => ref_router_bucket:bucket()},
                     providers := #{ref_router_config:provider_id() => provider()},
                     config := ref_router_config:config()}.

%% @doc Builds a runtime; its tables belong to the calling process.
-spec new(ref_router_config:config(), NowNs :: integer()) -> runtime().
new(#{tenants := Tenants, policies := Policies, providers := Providers} = Config, NowNs) ->
    NowMs = NowNs div 1_000_000,
    %% Written once, here, and read by every caller.
    Table = ets:new(ref_router_policies, [set, protected, {read_concurrency, true}]),
    Rows = [{Tenant, ref_router_policy:compile(Id, maps:get(Id, Policies))}
            || {Tenant, Id} <- maps:to_list(Tenants)],
    true = ets:insert(Table, Rows),
    #{policies => Table,
      sessions => ref_router_session:new(),
      buckets => maps:map(fun(_Id, #{rate_per_second := RatePerSecond, burst := Burst}) ->
                                  ref_router_bucket:new(RatePerSecond, Burst, NowNs)
                          end, Policies),
      providers => maps:map(fun(_Id, #{breaker := Settings, transport := Transport}) ->
                                    {ref_router_breaker:new(Settings, NowMs), Transport}
                            end, Providers),
      config => Config}.

%% @doc Puts a runtime into force.
-spec publish(runtime()) -> ok.
publish(Runtime) ->
    persistent_term:put(?HANDLE, Runtime).

%% @doc Deletes the tables of a runtime that is no longer in force.
-spec retire(runtime()) -> ok.
retire(#{policies := Policies, sessions := Sessions}) ->
    true = ets:delete(Policies),
    true = ets:delete(Sessions),
    ok.

%% @doc Erases the handle of the runtime.
-spec erase() -> ok.
erase() ->
    _ = persistent_term:erase(?HANDLE),
    ok.

%% @doc The runtime in force.
-spec get() -> runtime().
get() ->
    persistent_term:get(?HANDLE).

%% @doc The policy of a tenant, with the runtime that it belongs to. One look-up answers both
%% whether there is such a tenant and what holds for it.
-spec policy(ref_router_config:tenant()) ->
    {ok, runtime(), ref_router_policy:policy()} | {error, unknown_tenant | unavailable}.
policy(Tenant) ->
    case persistent_term:get(?HANDLE, undefined) of
        undefined -> {error, unavailable};
        Runtime -> policy(Tenant, Runtime)
    end.

%% @doc As {@link policy/1}, for a caller that has a runtime in hand, in force or not any more.
-spec policy(ref_router_config:tenant(), runtime()) ->
    {ok, runtime(), ref_router_policy:policy()} | {error, unknown_tenant | unavailable}.
policy(Tenant, #{policies := Table} = Runtime) ->
    try ets:lookup(Table, Tenant) of
        [{_Tenant, Policy}] -> {ok, Runtime, Policy};
        [] -> {error, unknown_tenant}
    catch
        error:badarg -> policy_after(Table, Tenant)
    end.

%% The table is gone: with its configuration, or with its owner, which is then being restarted.
policy_after(Gone, Tenant) ->
    case persistent_term:get(?HANDLE, undefined) of
        #{policies := Table} = Runtime when Table =/= Gone -> policy(Tenant, Runtime);
        _ -> {error, unavailable}
    end.

%% @doc The token bucket of a policy.
-spec bucket(runtime(), ref_router_config:policy_id()) -> ref_router_bucket:bucket().
bucket(#{buckets := Buckets}, Policy) ->
    maps:get(Policy, Buckets).

%% @doc The breaker and the transport of a provider.
-spec provider(runtime(), ref_router_config:provider_id()) -> provider().
provider(#{providers := Providers}, Provider) ->
    maps:get(Provider, Providers).

%% @doc The limits of the intake.
-spec limits() -> ref_router_intake:limits().
limits() ->
    #{config := #{intake := Limits}} = ?MODULE:get(),
    Limits.

%% @doc How many sessions are remembered.
-spec sessions() -> non_neg_integer().
sessions() ->
    #{sessions := Table} = ?MODULE:get(),
    ref_router_session:size(Table).

%% @doc The state of the breaker of every provider.
-spec breakers() -> #{ref_router_config:provider_id() => ref_router_breaker:state()}.
breakers() ->
    #{providers := Providers} = ?MODULE:get(),
    maps:map(fun(_Id, {Breaker, _Transport}) -> ref_router_breaker:state(Breaker) end, Providers).
