%% A router of a few counters and no process, with every misbehaviour that a test may ask for.
-module(toy_adapter).
-behaviour(router_bench_adapter).

-export([init/1, request/2, route/2, counters/1, terminate/1]).
-export([handle_info/2, processes/1, faults/0, control/2, outage/1]).

init(#{init := {error, _} = Error}) ->
    Error;
init(#{init := crash}) ->
    error(planned);
init(#{hangs := init}) ->
    receive never -> ok end;
init(Options) ->
    Owner = self(),
    Router = spawn(fun() ->
                           register(toy_router, self()),
                           Owner ! {self(), registered},
                           receive stop -> ok end
                   end),
    receive {Router, registered} -> ok end,
    Counters = counters:new(2, []),
    Planted = router_bench_fault:plant(maps:get(fault, Options, none),
                                       #{backpressure => fun() -> counters:add(Counters, 2, 1) end,
                                         crash => fun() -> exit(Router, kill) end}),
    {ok, #{counters => Counters, planted => Planted, requests => atomics:new(1, []),
           hangs => maps:get(hangs, Options, none),
           restarts => maps:get(restarts, Options, false), reads => atomics:new(1, []),
           unbuilt_from => maps:get(unbuilt_from, Options, infinity),
           mishap => maps:get(mishap, Options, none), always => maps:get(always, Options, none), on => maps:get(on, Options, 0),
           answer => maps:get(answer, Options, ok), gone => atomics:new(1, []),
           outage => maps:get(<<"outage">>, Options, maps:get(outage, Options, works)),
           hidden => maps:get(hidden_counters, Options, []),
           not_offered => maps:get(not_offered, Options, []),
           dead => maps:get(dead_counters, Options, [])}}.

%% A number is less than any atom.
request(N, #{unbuilt_from := From}) when N >= From ->
    receive never -> ok end;
request(N, _State) ->
    N.

route(_N, #{planted := Planted} = State) ->
    router_bench_fault:route(Planted, fun() -> answer(State) end).

answer(#{gone := Gone} = State) ->
    case atomics:get(Gone, 1) of
        0 -> answered(State);
        1 -> {error, gone}
    end.

answered(#{always := {slow, OneIn, Ms}, requests := Requests}) ->
    case atomics:add_get(Requests, 1, 1) rem OneIn of
        0 -> timer:sleep(Ms);
        _ -> ok
    end;
answered(#{always := Always}) when Always =/= none ->
    happen(Always);
answered(#{mishap := none, answer := Answer}) ->
    Answer;
answered(#{mishap := Mishap, on := On, requests := Requests, answer := Answer}) ->
    case atomics:add_get(Requests, 1, 1) of
        On -> happen(Mishap);
        _ -> Answer
    end.

happen(worker_dies) -> exit(self(), kill);
happen(worker_hangs) -> receive never -> ok end;
happen(bad_return) -> surprise;
happen(stray) -> self() ! stray, ok;
happen(credit) -> self() ! credit, ok;
happen(raises) -> error(planned);
happen(throws) -> throw(planned);
happen(halts) -> erlang:halt(3, [{flush, false}]);
happen(os_kill) -> os:cmd("kill -KILL " ++ os:getpid()).

handle_info(credit, #{counters := _}) -> handled;
handle_info(_Message, _State) -> unexpected.

counters(#{hangs := counters}) ->
    receive never -> ok end;
counters(#{hangs := sampled} = State) ->
    % Where the bench calls it with a limit, it answers; the sampler cannot set one.
    case get(router_bench_router) of
        undefined -> receive never -> ok end;
        _ -> counters(State#{hangs := none})
    end;
counters(#{restarts := true, reads := Reads} = State) ->
    % Falls once, and has overtaken its start at the next reading.
    Errors = case atomics:add_get(Reads, 1, 1) of
                 Early when Early < 4 -> 1;
                 4 -> 0;
                 Late -> Late
             end,
    (counters(State#{restarts := false}))#{errors_total := Errors};
counters(#{counters := Counters, hidden := Hidden}) ->
    maps:without(Hidden, #{errors_total => counters:get(Counters, 1),
                           backpressure_active_total => counters:get(Counters, 2)}).

terminate(#{hangs := terminate}) ->
    receive never -> ok end;
terminate(_State) ->
    case whereis(toy_router) of
        undefined -> ok;
        Router -> Router ! stop
    end.

processes(_State) ->
    [toy_router].

outage(#{outage := not_offered}) -> not_offered;
outage(#{outage := <<"not_offered">>}) -> not_offered;
outage(#{outage := surprise}) -> surprise;
outage(#{outage := raises}) -> error(planned);
outage(#{outage := hangs}) -> receive never -> ok end;
outage(#{outage := stays, gone := Gone}) ->
    ok = atomics:put(Gone, 1, 1),
    {ended_by, fun() -> ok end};
outage(#{gone := Gone}) ->
    ok = atomics:put(Gone, 1, 1),
    {ended_by, fun() -> atomics:put(Gone, 1, 0) end}.

faults() ->
    [delay_us, stall_ms, error_ratio, hold_bytes, leak_bytes, backpressure, crash_after].

control(_Counter, #{hangs := control}) ->
    receive never -> ok end;
control(Counter, #{counters := Counters, dead := Dead, not_offered := NotOffered}) ->
    Cell = case Counter of errors_total -> 1; backpressure_active_total -> 2 end,
    case {lists:member(Counter, NotOffered), lists:member(Counter, Dead)} of
        {true, _} -> not_offered;
        {false, true} -> ok;
        {false, false} -> counters:add(Counters, Cell, 1)
    end.
