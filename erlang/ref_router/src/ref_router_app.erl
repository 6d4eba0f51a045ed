%% @doc Application callback. What outlives a crash of any process, the counters, is made here;
%% what the application put into `persistent_term' is erased here when its last process is gone.
%% @private
-module(ref_router_app).
-behaviour(application).

-export([start/2, stop/1]).

%% @doc Makes the counters and starts the supervision tree.
-spec start(application:start_type(), term()) -> {ok, pid()} | {error, term()}.
start(_Type, _Arguments) ->
    ok = ref_router_counters:create(),
    case ref_router_sup:start_link() of
        {ok, Supervisor} ->
            {ok, Supervisor};
        {error, _} = Error ->
            ok = erase_handles(),
            Error
    end.

%% @doc Erases every handle of the application from `persistent_term'.
-spec stop(term()) -> ok.
stop(_State) ->
    erase_handles().

erase_handles() ->
    ok = ref_router_runtime:erase(),
    ok = ref_router_intake:erase(),
    ok = ref_router_counters:erase().
