%% @doc Stands for an adapter where there is none: nobody tells the router's counters.
%% @private
-module(router_bench_bystander).

-export([counters/1]).

%% @doc None.
-spec counters(term()) -> router_bench_adapter:counters().
counters(_State) -> #{}.
