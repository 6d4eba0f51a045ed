%% @doc Whether the open loop reads routers whose latency is known by construction as they are.
%%
%% Each router ({@link router_bench_known_adapter}) is measured at a tenth and at half of what it can
%% take. What was planted is what it takes on a machine that nothing interrupts; what it took is what
%% its own clock says. The response time's percentiles should be those that it took, to 10 % or 3 us,
%% and its median the planted one: a router that does not do what was planted proves nothing.
%% @private
-module(router_bench_truth).

-export([main/0, is_read/2]).

%% p50, p95 and p99, or the first of them.
-type percentiles_us() :: {number()} | {number(), number(), number()}.

-define(WARMUP_MS, 500).
-define(PART_MS, 5000).
-define(HIGHEST_RATE, 20000).
%% No multiple of the millisecond on which timers ring, so that arrivals meet every part of it.
-define(TIMED_RATE, 19700).
-define(TOLERATED_SHARE, 0.1).
-define(TOLERATED_US, 3).

%% @doc Prints the table and ends the VM: with 0 if all is as it was planted, else with 1.
-spec main() -> no_return().
main() ->
    io:format("~-15s ~8s ~24s ~24s ~24s ~8s~n",
              ["router", "arrivals", "planted p50 p95 p99 us", "took p50 p95 p99 us",
               "read p50 p95 p99 us", "lag p95"]),
    Read = [told(Known, Share) || Known <- known(), Share <- [10, 2]],
    halt(case lists:member(false, Read) of
             false -> 0;
             true -> 1
         end).

%% What was planted, and how many requests a second the router can take. Timers of the BEAM ring on
%% the next millisecond, so a sleep takes up to 1 ms longer, all times alike.
known() ->
    Schedulers = erlang:system_info(schedulers_online),
    [{spin, {100, 100, 100}, 10000 * Schedulers},
     {sleep, {2500, 2950, 2990}, ?TIMED_RATE},
     {one_in_50_slow, {20, 20, 20500}, 50000 * Schedulers},
     {one_process, {200, 200, 200}, 5000},
     {spawn, {20, 20, 20}, 50000 * Schedulers}].

told({Router, Planted, Capacity}, Share) ->
    Rate = min(?HIGHEST_RATE, Capacity div Share),
    Own = router_bench_nif:recorder_new(erlang:system_info(schedulers)),
    {ok, Plan} = router_bench_plan:new(#{adapter => router_bench_known_adapter,
                                         adapter_options => #{router => Router, own => Own},
                                         rate_per_second => Rate, concurrency => 1}),
    {ok, {Response, Lag}} = router_bench_router:with(Plan, fun(State) ->
        Context = #{plan => Plan, adapter => router_bench_known_adapter, state => State},
        {ok, _} = router_bench_open_loop:run(Context, ?WARMUP_MS),
        _ = router_bench_nif:recorder_slice(Own),
        {ok, #{response_time := Response, dispatch_lag := Lag}} =
            router_bench_open_loop:run(Context, ?PART_MS),
        {ok, {Response, Lag}}
    end),
    [Took, Read] = [{P50 / 1000, P95 / 1000, P99 / 1000}
                    || #{p50_ns := P50, p95_ns := P95, p99_ns := P99}
                           <- [router_bench_nif:recorder_slice(Own), Response]],
    IsRead = is_read(Took, Read) andalso is_read({element(1, Planted)}, {element(1, Read)}),
    io:format("~-15s ~8s ~24s ~24s ~24s ~8.1f ~s~n",
              [Router, [router_bench_figures:thousands(Rate), "/s"], text(Planted), text(Took),
               text(Read), maps:get(p95_ns, Lag) / 1000,
               case IsRead of true -> ""; false -> "DIFFERS" end]),
    IsRead.

text(Percentiles) ->
    lists:flatten(lists:join("  ", [io_lib:format("~.1f", [float(Us)])
                                    || Us <- tuple_to_list(Percentiles)])).

%% @doc Whether every percentile is the known one, to 10 % or 3 us.
-spec is_read(percentiles_us(), percentiles_us()) -> boolean().
is_read(Planted, Read) ->
    lists:all(fun({Known, Found}) ->
                      abs(Found - Known) =< max(?TOLERATED_US, ?TOLERATED_SHARE * Known)
              end, lists:zip(tuple_to_list(Planted), tuple_to_list(Read))).
