%% @doc Owner of the tables and of the configuration in force.
%%
%% The configuration comes from the environment of the application, key `config', and a new one is
%% written back there: an owner that is restarted goes on with what was last in force.
%% @private
-module(ref_router_owner).
-behaviour(gen_server).

-export([start_link/0, configure/1]).
-export([init/1, handle_call/3, handle_cast/2]).

%% Building tables takes milliseconds; the queue is given five seconds of these to answer.
-define(CONFIGURE_TIMEOUT_MS, 15000).

-record(state, {runtime :: ref_router_runtime:runtime()}).

%% @doc Starts the owner and puts the configuration of the environment into force.
-spec start_link() -> {ok, pid()} | {error, term()}.
start_link() ->
    case gen_server:start_link({local, ?MODULE}, ?MODULE, [], []) of
        ignore -> {error, ignore};
        Started -> Started
    end.

%% @doc Puts a configuration into force; when it answers `ok', every later call sees it.
-spec configure(term()) -> ok | {error, ref_router_config:reason() | not_started}.
configure(Config) ->
    try gen_server:call(?MODULE, {configure, Config}, ?CONFIGURE_TIMEOUT_MS)
    catch exit:{noproc, _} -> {error, not_started}
    end.

%% @private
-spec init([]) -> {ok, #state{}} | {stop, {bad_config, ref_router_config:reason()}}.
init([]) ->
    case ref_router_config:validate(application:get_env(ref_router, config, #{})) of
        {ok, Config} -> {ok, #state{runtime = put_into_force(Config)}};
        {error, Reason} -> {stop, {bad_config, Reason}}
    end.

%% @private
-spec handle_call({configure, term()}, gen_server:from(), #state{}) -> {reply, term(), #state{}}.
handle_call({configure, Given}, _From, #state{runtime = Before} = State) ->
    case ref_router_config:validate(Given) of
        {ok, #{intake := Limits} = Config} ->
            ok = application:set_env(ref_router, config, Config),
            Runtime = put_into_force(Config),
            ok = ref_router_runtime:retire(Before),
            ok = ref_router_queue:limit(Limits),
            {reply, ok, State#state{runtime = Runtime}};
        {error, _} = Error ->
            {reply, Error, State}
    end.

%% @private
-spec handle_cast(term(), #state{}) -> {noreply, #state{}}.
handle_cast(_Unknown, State) ->
    {noreply, State}.

put_into_force(Config) ->
    Runtime = ref_router_runtime:new(Config, erlang:monotonic_time(nanosecond)),
    ok = ref_router_runtime:publish(Runtime),
    Runtime.
