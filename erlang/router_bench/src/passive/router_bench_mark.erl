%% @doc Two calls in a router's own code, between which a request is timed while somebody watches
%% ({@link router_bench:watch/1}).
%%
%% ```
%% route(Message) ->
%%     Mark = router_bench_mark:started(),
%%     Result = do_route(Message),
%%     router_bench_mark:ended(Mark, Result),
%%     Result.
%% '''
%%
%% While nobody watches, a call reads one persistent term, and that is all. Neither call ever fails, whatever
%% it is given and whatever became of whoever watches, and neither waits. This module needs no other: a
%% release may ship it alone.
-module(router_bench_mark).

-export([started/0, ended/2]).
%% For whoever watches.
-export([watch/2, unwatch/0, is_watched/0]).

-export_type([mark/0]).

%% When a request began, by the clock of whoever watches; `none' where nobody does. Small enough for any
%% message: it may be handed to another process, which ends the request.
-opaque mark() :: none | integer().

%% @doc A request begins.
-spec started() -> mark().
started() ->
    case persistent_term:get(?MODULE, none) of
        none ->
            none;
        {Module, Recording} ->
            % Code that is taken away meanwhile concerns no request.
            try Module:started(Recording)
            catch _:_ -> none
            end
    end.

%% @doc It ended so: `ok', `{ok, _}', `error', `{error, Reason}', `timeout', `{error, timeout}', `rejected',
%% `{rejected, Reason}'. Anything else counts as an error. Of a mark that is never ended, the request counts
%% as one that was not answered.
-spec ended(mark(), Answer :: term()) -> ok.
ended(none, _Answer) ->
    ok;
ended(Mark, Answer) ->
    case persistent_term:get(?MODULE, none) of
        none ->
            ok;
        {Module, Recording} ->
            try
                _ = Module:ended(Recording, Mark, Answer),
                ok
            catch _:_ -> ok
            end
    end.

%% @doc From now on marks are handed to a module's `started/1' and `ended/3'.
%% @private
-spec watch(module(), Recording :: term()) -> ok.
watch(Module, Recording) ->
    persistent_term:put(?MODULE, {Module, Recording}).

%% @doc Nobody watches any more.
%% @private
-spec unwatch() -> ok.
unwatch() ->
    _ = persistent_term:erase(?MODULE),
    ok.

%% @doc Whether somebody watches.
%% @private
-spec is_watched() -> boolean().
is_watched() ->
    persistent_term:get(?MODULE, none) =/= none.
