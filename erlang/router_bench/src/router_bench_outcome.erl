%% @doc What became of the requests of a phase.
%%
%% Requests sent are counted apart from their outcomes, and successes by the recorder that timed
%% them, so that `offered = ok + error + timeout + rejected + skipped' can fail, and is checked.
-module(router_bench_outcome).

-export([new/0, sent/1, route/3, not_ok/2, counts/1, accounting/4]).

-export_type([tally/0, counts/0, accounting/0, outcome/0]).

-opaque tally() :: counters:counters_ref().
-type outcome() :: ok | error | timeout | rejected.
-type counts() :: #{sent := non_neg_integer(), error := non_neg_integer(),
                    timeout := non_neg_integer(), rejected := non_neg_integer()}.
-type accounting() :: #{offered := non_neg_integer(), ok := non_neg_integer(),
                        error := non_neg_integer(), timeout := non_neg_integer(),
                        rejected := non_neg_integer(), skipped := non_neg_integer()}.

-define(SENT, 1).
-define(ERROR, 2).
-define(TIMEOUT, 3).
-define(REJECTED, 4).

%% @doc Nothing counted yet. Written by all workers at once, hence write concurrency.
-spec new() -> tally().
new() ->
    counters:new(4, [write_concurrency]).

%% @doc Counts a request that is about to be routed.
-spec sent(tally()) -> ok.
sent(Tally) ->
    counters:add(Tally, ?SENT, 1).

%% @doc Routes a request. An exception of the router is an error of the router; an answer that is
%% none of the contract's ends the worker, since the adapter is wrong.
-spec route(module(), router_bench_adapter:request(), router_bench_adapter:state()) -> outcome().
route(Adapter, Request, State) ->
    try Adapter:route(Request, State) of
        ok -> ok;
        {ok, _} -> ok;
        {error, timeout} -> timeout;
        {error, _} -> error;
        {rejected, _} -> rejected;
        Other -> exit({bad_return, {Adapter, route, 2}, Other})
    catch
        error:_ -> error;
        throw:_ -> error;
        exit:{timeout, _} -> timeout;
        exit:_ -> error
    end.

%% @doc Counts an outcome other than success; that one the recorder counts.
-spec not_ok(tally(), error | timeout | rejected) -> ok.
not_ok(Tally, error) -> counters:add(Tally, ?ERROR, 1);
not_ok(Tally, timeout) -> counters:add(Tally, ?TIMEOUT, 1);
not_ok(Tally, rejected) -> counters:add(Tally, ?REJECTED, 1).

%% @doc What was counted so far.
-spec counts(tally()) -> counts().
counts(Tally) ->
    #{sent => counters:get(Tally, ?SENT), error => counters:get(Tally, ?ERROR),
      timeout => counters:get(Tally, ?TIMEOUT), rejected => counters:get(Tally, ?REJECTED)}.

%% @doc Balances the books of a phase. `Abandoned' requests were with workers that had to be killed;
%% they count as timeouts.
-spec accounting(counts(), Ok :: non_neg_integer(), Skipped :: non_neg_integer(),
                 Abandoned :: non_neg_integer()) ->
          {ok, accounting()} | {error, {requests_lost, integer(), accounting()}}.
accounting(#{sent := Sent, error := Error, timeout := Timeout, rejected := Rejected},
           Ok, Skipped, Abandoned) ->
    Accounting = #{offered => Sent + Skipped, ok => Ok, error => Error,
                   timeout => Timeout + Abandoned, rejected => Rejected, skipped => Skipped},
    case Sent - (Ok + Error + Timeout + Rejected + Abandoned) of
        0 -> {ok, Accounting};
        Lost -> {error, {requests_lost, Lost, Accounting}}
    end.
