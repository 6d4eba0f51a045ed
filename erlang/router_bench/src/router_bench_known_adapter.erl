%% @doc Routers whose latency is known by construction, to read them back: `router => spin | sleep |
%% one_in_50_slow | one_process | spawn' in the adapter's options.
-module(router_bench_known_adapter).
-behaviour(router_bench_adapter).

-export([init/1, request/2, route/2, counters/1, terminate/1]).

-type state() :: {atom(), atomics:atomics_ref() | pid()}.

-define(SPIN_NS, 100000).
-define(SHORT_SPIN_NS, 20000).
-define(SERVER_SPIN_NS, 200000).
-define(SLEEP_MS, 2).
-define(SLOW_MS, 20).
-define(SLOW_ONE_IN, 50).

-spec init(router_bench_adapter:options()) -> {ok, state()}.
init(#{router := one_process}) ->
    {ok, {one_process, spawn_link(fun serve/0)}};
init(#{router := Router}) ->
    {ok, {Router, atomics:new(1, [])}}.

-spec request(non_neg_integer(), state()) -> non_neg_integer().
request(N, _State) ->
    N.

-spec route(non_neg_integer(), state()) -> ok.
route(_N, {spin, _}) ->
    spin(?SPIN_NS);
route(_N, {sleep, _}) ->
    receive after ?SLEEP_MS -> ok end;
route(_N, {one_in_50_slow, Requests}) ->
    case atomics:add_get(Requests, 1, 1) rem ?SLOW_ONE_IN of
        0 -> receive after ?SLOW_MS -> ok end;
        _ -> spin(?SHORT_SPIN_NS)
    end;
route(_N, {one_process, Server}) ->
    Reference = make_ref(),
    Server ! {self(), Reference},
    receive Reference -> ok end;
route(_N, {spawn, _}) ->
    {Pid, Monitor} = spawn_monitor(fun() -> spin(?SHORT_SPIN_NS) end),
    receive {'DOWN', Monitor, process, Pid, normal} -> ok end.

-spec counters(state()) -> router_bench_adapter:counters().
counters(_State) ->
    #{errors_total => 0, backpressure_active_total => 0}.

-spec terminate(state()) -> ok.
terminate({one_process, Server}) ->
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
