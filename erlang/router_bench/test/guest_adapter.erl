%% Measures a router that runs already (`live_router'), and leaves traces in its node that have to be taken
%% back. What is called is told to the router.
-module(guest_adapter).
-behaviour(router_bench_adapter).

-export([init/1, request/2, route/2, counters/1, terminate/1, detach/1]).
-export([processes/1, faults/0, control/2]).

init(#{refuses := true}) ->
    {error, no_guests_here};
init(#{attached := true} = Options) ->
    ok = tell(init),
    Helper = spawn(fun() ->
                           true = register(guest_helper, self()),
                           _ = ets:new(guest_table, [named_table]),
                           receive never -> ok end
                   end),
    ok = persistent_term:put(guest, Helper),
    Counters = counters:new(2, []),
    ok = case Options of
             #{stays_in_a_call := true} -> live_router ! {run, fun() -> receive go_on -> ok end end}, ok;
             #{} -> ok
         end,
    {ok, #{counters => Counters, answer => maps:get(answer, Options, ok)}}.

request(N, _State) -> N.

route(_N, #{answer := Answer}) -> Answer.

counters(#{counters := Counters}) ->
    #{errors_total => counters:get(Counters, 1), backpressure_active_total => counters:get(Counters, 2)}.

terminate(_State) -> tell(terminate).

detach(_State) ->
    _ = persistent_term:erase(guest),
    tell(detach).

processes(_State) -> [live_router].

faults() -> [delay_us].

control(errors_total, #{counters := Counters}) ->
    ok = tell(control),
    counters:add(Counters, 1, 1);
control(backpressure_active_total, _State) ->
    not_offered.

tell(What) ->
    live_router ! {called, What},
    ok.
