%% @doc Routers whose latency is known by construction, to read them back: `router => spin | sleep |
%% one_in_50_slow | one_process | spawn' in the adapter's options. `own => recorder()' records how long
%% each request took by the router's own clock: with whatever the machine took away while it was served.
%% @private
-module(router_bench_known_adapter).
-behaviour(router_bench_adapter).

-export([init/1, request/2, route/2, counters/1, terminate/1]).

-type state() :: {atom(), atomics:atomics_ref() | pid(), router_bench_nif:recorder()}.

-define(SPIN_NS, 100000).
-define(SHORT_SPIN_NS, 20000).
-define(SERVER_SPIN_NS, 200000).
-define(SLEEP_MS, 2).
-define(SLOW_MS, 20).
-define(SLOW_ONE_IN, 50).

%% @private
-spec init(router_bench_adapter:options()) -> {ok, state()}.
init(#{router := one_process, own := Own}) ->
    {ok, {one_process, spawn_link(fun serve/0), Own}};
init(#{router := Router, own := Own}) ->
    {ok, {Router, atomics:new(1, []), Own}}.

%% @private
-spec request(non_neg_integer(), state()) -> non_neg_integer().
request(N, _State) ->
    N.

%% @private
-spec route(non_neg_integer(), state()) -> ok.
route(_N, {Router, With, Own}) ->
    StartNs = router_bench_nif:start(),
    ok = answer(Router, With),
    _ = router_bench_nif:stop(Own, StartNs),
    ok.

answer(spin, _) ->
    spin(?SPIN_NS);
answer(sleep, _) ->
    receive after ?SLEEP_MS -> ok end;
answer(one_in_50_slow, Requests) ->
    case atomics:add_get(Requests, 1, 1) rem ?SLOW_ONE_IN of
        0 -> receive after ?SLOW_MS -> ok end;
        _ -> spin(?SHORT_SPIN_NS)
    end;
answer(one_process, Server) ->
    Reference = make_ref(),
    Server ! {self(), Reference},
    receive Reference -> ok end;
answer(spawn, _) ->
    {Pid, Monitor} = spawn_monitor(fun() -> spin(?SHORT_SPIN_NS) end),
    receive {'DOWN', Monitor, process, Pid, normal} -> ok end.

%% @private
-spec counters(state()) -> router_bench_adapter:counters().
counters(_State) ->
    #{errors_total => 0, backpressure_active_total => 0}.

%% @private
-spec terminate(state()) -> ok.
terminate({one_process, Server, _Own}) ->
    unlink(Server),
    exit(Server, kill),
    ok;
terminate(_State) ->
    ok.

%% Everybody waits for this one.
serve() ->
    receive
        {From, Reference} ->
            spin(?SERVER_SPIN_NS),
            From ! Reference,
            serve()
    end.

spin(Ns) ->
    until(router_bench_nif:now() + Ns).

until(EndNs) ->
    case router_bench_nif:now() of
        Now when Now < EndNs -> until(EndNs);
        _ -> ok
    end.
