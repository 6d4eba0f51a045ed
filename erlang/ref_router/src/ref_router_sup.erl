%% @doc Supervision tree: the owner of the tables, the intake queue, the janitor.
%%
%% `rest_for_one': the queue takes its limits from what the owner published, and the janitor works
%% on what both hold, so whoever comes later starts again with whoever came before.
%% @private
-module(ref_router_sup).
-behaviour(supervisor).

-export([start_link/0, init/1]).

-define(MAX_RESTARTS, 5).
-define(RESTART_PERIOD_S, 10).
%% None of the three has anything to finish at shutdown.
-define(SHUTDOWN_MS, 1000).

%% @doc Starts the supervision tree.
-spec start_link() -> {ok, pid()} | {error, term()}.
start_link() ->
    case supervisor:start_link({local, ?MODULE}, ?MODULE, []) of
        ignore -> {error, ignore};
        Started -> Started
    end.

%% @private
-spec init([]) -> {ok, {supervisor:sup_flags(), [supervisor:child_spec()]}}.
init([]) ->
    Flags = #{strategy => rest_for_one,
              intensity => ?MAX_RESTARTS,
              period => ?RESTART_PERIOD_S},
    {ok, {Flags, [worker(M) || M <- [ref_router_owner, ref_router_queue, ref_router_janitor]]}}.

worker(Module) ->
    #{id => Module, start => {Module, start_link, []}, shutdown => ?SHUTDOWN_MS}.
