%% @doc The figures of the router, declared as one table.
%%
%% Totals only grow, from application start to stop, whatever process restarts in between. They are
%% written from many processes and read seldom: hence `write_concurrency'.
%% @private
-module(ref_router_counters).

-export([create/0, erase/0, add/1, table/0, read/0]).
-export_type([total/0, counters/0]).

-define(HANDLE, {?MODULE, handle}).

-type total() :: routed_total | decided_total | errors_total | rate_limited_total
               | overloaded_total | fallbacks_total | breaker_opened_total
               | backpressure_active_total | backpressure_cleared_total
               | sessions_full_total | slots_reclaimed_total.
-type counters() :: #{total() | rejected_total | in_flight | queued | sessions => integer()}.

%% @doc Makes all counters, at zero. For the start of the application only: a later update of
%% `persistent_term' would have every process of the node collect its garbage.
-spec create() -> ok.
create() ->
    persistent_term:put(?HANDLE, counters:new(totals(), [write_concurrency])).

%% @doc Erases the counters.
-spec erase() -> ok.
erase() ->
    _ = persistent_term:erase(?HANDLE),
    ok.

%% @doc Adds one. A caller that outlives the application counts nowhere.
-spec add(total()) -> ok.
add(Total) ->
    case persistent_term:get(?HANDLE, undefined) of
        undefined -> ok;
        Handle -> counters:add(Handle, index(Total), 1)
    end.

%% @doc The table of figures: name, unit, help, how it is read.
-spec table() -> [{Name :: atom(), Unit :: atom(), Help :: string(), fun(() -> integer())}].
table() ->
    [total(routed_total, messages, "delivered to a provider"),
     total(decided_total, messages, "decided on by decide/1, not delivered"),
     total(errors_total, messages, "ended with an error or an exception"),
     total(rate_limited_total, messages, "rejected by the token bucket of their policy"),
     total(overloaded_total, messages, "rejected by the intake"),
     {rejected_total, messages, "rejected: rate limited or overloaded",
      fun() -> total(rate_limited_total) + total(overloaded_total) end},
     total(fallbacks_total, messages, "given to a fallback"),
     total(breaker_opened_total, transitions, "breakers that went to open"),
     total(backpressure_active_total, transitions, "backpressure from inactive to active"),
     total(backpressure_cleared_total, transitions, "backpressure from active to inactive"),
     total(sessions_full_total, sessions, "not remembered for want of room"),
     total(slots_reclaimed_total, slots, "taken back from callers that never left"),
     {in_flight, slots, "taken in the intake", fun ref_router_intake:in_flight/0},
     {queued, callers, "waiting at the intake", fun ref_router_intake:queued/0},
     {sessions, sessions, "remembered", fun ref_router_runtime:sessions/0}].

%% @doc All figures of the table.
-spec read() -> counters().
read() ->
    maps:from_list([{Name, Read()} || {Name, _Unit, _Help, Read} <- table()]).

total(Name, Unit, Help) ->
    {Name, Unit, Help, fun() -> total(Name) end}.

total(Name) ->
    counters:get(persistent_term:get(?HANDLE), index(Name)).

totals() -> 11.

index(routed_total) -> 1;
index(decided_total) -> 2;
index(errors_total) -> 3;
index(rate_limited_total) -> 4;
index(overloaded_total) -> 5;
index(fallbacks_total) -> 6;
index(breaker_opened_total) -> 7;
index(backpressure_active_total) -> 8;
index(backpressure_cleared_total) -> 9;
index(sessions_full_total) -> 10;
index(slots_reclaimed_total) -> 11.
