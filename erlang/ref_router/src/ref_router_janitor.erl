%% @doc Janitor: deletes expired sessions and takes slots back from callers that never left.
%% @private
-module(ref_router_janitor).
-behaviour(gen_server).

-export([start_link/0]).
-export([init/1, handle_call/3, handle_cast/2, handle_info/2]).

%% @doc Starts the janitor; its periods are those of the configuration in force.
-spec start_link() -> {ok, pid()} | {error, term()}.
start_link() ->
    case gen_server:start_link({local, ?MODULE}, ?MODULE, [], []) of
        ignore -> {error, ignore};
        Started -> Started
    end.

%% @private
-spec init([]) -> {ok, no_state}.
init([]) ->
    ok = again(sweep_sessions),
    ok = again(expire_lease),
    {ok, no_state}.

%% @private
-spec handle_call(term(), gen_server:from(), no_state) -> {noreply, no_state}.
handle_call(_Unknown, _From, no_state) ->
    {noreply, no_state}.

%% @private
-spec handle_cast(term(), no_state) -> {noreply, no_state}.
handle_cast(_Unknown, no_state) ->
    {noreply, no_state}.

%% @private
-spec handle_info(sweep_sessions | expire_lease, no_state) -> {noreply, no_state}.
handle_info(Chore, no_state) ->
    _HowMany = do(Chore),
    ok = again(Chore),
    {noreply, no_state}.

do(sweep_sessions) ->
    #{sessions := Table} = ref_router_runtime:get(),
    ref_router_session:sweep(Table, erlang:monotonic_time(millisecond));
do(expire_lease) ->
    ref_router_intake:expire_lease().

again(Chore) ->
    _Timer = erlang:send_after(period_ms(Chore, ref_router_runtime:get()), self(), Chore),
    ok.

period_ms(sweep_sessions, #{config := #{sessions := #{sweep_ms := SweepMs}}}) -> SweepMs;
period_ms(expire_lease, #{config := #{intake := #{lease_ms := LeaseMs}}}) -> LeaseMs.
