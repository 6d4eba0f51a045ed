%% An adapter of a router that runs already: two counters of its own, and it says what it was called for.
-module(attached_adapter).

-export([init/1, counters/1, detach/1, terminate/1]).

init(#{attached := true, tell := Tell, counters := Counters}) ->
    Tell ! {?MODULE, init},
    {ok, #{tell => Tell, counters => Counters}};
init(#{attached := true, fails := How}) ->
    error(How).

counters(#{counters := Counters}) ->
    #{errors_total => counters:get(Counters, 1), backpressure_active_total => counters:get(Counters, 2)}.

detach(#{tell := Tell}) ->
    Tell ! {?MODULE, detach}.

terminate(#{tell := Tell}) ->
    Tell ! {?MODULE, terminate}.
