%% A router in one process, which drivers in other nodes reach by messages. It keeps the numbers of the
%% requests that it had, by who sent them.
-module(driven_adapter).
-behaviour(router_bench_adapter).

-export([init/1, request/2, route/2, counters/1, terminate/1, processes/1, faults/0]).
-export([connect/2, disconnect/1]).

init(Options) ->
    _ = [stand_still() || maps:is_key(router_stands_still, Options)],
    Parent = self(),
    Planted = router_bench_fault:plant(maps:get(fault, Options, none), #{}),
    Counters = counters:new(2, []),
    Router = spawn_link(fun() ->
                                true = register(driven_router, self()),
                                Parent ! {self(), registered},
                                loop(Planted, Counters, maps:get(halts_at, Options, infinity))
                        end),
    receive {Router, registered} -> ok end,
    {ok, #{counters => Counters, options => maps:with([drivers, routers], Options)}}.

loop(Planted, Counters, HaltsAt) ->
    receive
        {route, From, Reference, N} ->
            _ = [erlang:halt(3, [{flush, false}]) || is_integer(N), N >= HaltsAt],
            From ! {Reference, router_bench_fault:route(Planted, fun() -> ok end)},
            loop(Planted, Counters, HaltsAt);
        stop ->
            ok
    end.

connect(_Routers, #{refuses := Reason}) ->
    {error, Reason};
connect(_Routers, #{connecting := hangs}) ->
    timer:sleep(infinity);
connect(_Routers, #{connecting := stands_still}) ->
    stand_still();
connect(Routers, Options) ->
    Log = maps:get(log, Options, none),
    {ok, #{routers => list_to_tuple(Routers), dies_at => maps:get(driver_dies_at, Options, infinity),
           log => Log, disconnects => maps:get(disconnects, Options, Log)}}.

disconnect(#{disconnects := none}) -> ok;
disconnect(#{disconnects := File}) -> file:write_file(File, [os:getpid(), " disconnected\n"], [append]).

request(N, #{log := File}) when File =/= none ->
    ok = file:write_file(File, io_lib:format("~s ~b~n", [os:getpid(), N]), [append]),
    N;
request(N, _State) ->
    N.

route(N, #{dies_at := {stands_still, At}}) when N >= At ->
    stand_still();
%% One of two drivers, once, in an open loop.
route(N, #{dies_at := {stops_for_a_while, At}} = State) when N >= At, N < 16#1000000, N rem 2 =:= 1 ->
    _ = [begin
             ok = persistent_term:put(?MODULE, stopped),
             os:cmd("(sleep 0.5; kill -CONT " ++ os:getpid() ++ ") & kill -STOP " ++ os:getpid())
         end || persistent_term:get(?MODULE, goes_on) =:= goes_on],
    route(N, State#{dies_at := infinity});
route(N, #{dies_at := DiesAt}) when is_integer(DiesAt), N >= DiesAt ->
    erlang:halt(3, [{flush, false}]);
route(N, #{routers := Routers}) ->
    Node = element(1 + N rem tuple_size(Routers), Routers),
    Monitor = monitor(process, {driven_router, Node}),
    {driven_router, Node} ! {route, self(), Monitor, N},
    receive
        {Monitor, Answer} ->
            true = demonitor(Monitor, [flush]),
            Answer;
        {'DOWN', Monitor, process, _, Reason} ->
            {error, Reason}
    end.

stand_still() ->
    os:cmd("kill -STOP " ++ os:getpid()).

counters(#{counters := Counters}) ->
    #{errors_total => counters:get(Counters, 1), backpressure_active_total => counters:get(Counters, 2)}.

terminate(_State) ->
    driven_router ! stop.

processes(_State) -> [driven_router].

faults() -> [delay_us, error_ratio].
