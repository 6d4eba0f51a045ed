%% @doc The queue of the intake: the callers that wait for a slot, first come, first served.
%%
%% Off the hot path: it hears only of callers that found every slot taken, and of slots left while
%% somebody waits. Every waiter is monitored, so that one that dies frees its place. The intake
%% lives as long as this process: a restarted queue starts with a new, empty intake, and whoever
%% waited in the old one gets `{error, unavailable}'.
%%
%% Invariant: waiters here = callers queued in the intake + slots on their way here.
%% @private
-module(ref_router_queue).
-behaviour(gen_server).

-export([start_link/0, wait/1, hand_over/1, limit/1]).
-export([init/1, handle_call/3, handle_cast/2, handle_info/2]).

%% A slot comes when one is left. If the queue dies, the monitor of the call ends the wait.
-define(WAIT_TIMEOUT, infinity).
%% Republishing a handle; the process never blocks.
-define(LIMIT_TIMEOUT_MS, 5000).

-record(state, {intake :: ref_router_intake:intake(),
                waiters = queue:new() :: queue:queue({Monitor :: reference(), gen_server:from()})}).

%% @doc Starts the queue with the limits of the running configuration.
-spec start_link() -> {ok, pid()} | {error, term()}.
start_link() ->
    case gen_server:start_link({local, ?MODULE}, ?MODULE, [], []) of
        ignore -> {error, ignore};
        Started -> Started
    end.

%% @doc Waits for a slot.
-spec wait(pid()) ->
    {ok, ref_router_intake:slot()} | {rejected, overloaded} | {error, unavailable}.
wait(Queue) ->
    try gen_server:call(Queue, wait, ?WAIT_TIMEOUT)
    catch exit:{_Reason, {gen_server, call, _}} -> {error, unavailable}
    end.

%% @doc Hands a slot to who waits longest.
-spec hand_over(pid()) -> ok.
hand_over(Queue) ->
    gen_server:cast(Queue, slot).

%% @doc Puts other limits into force. A queue that dies over it takes them when it is restarted.
-spec limit(ref_router_intake:limits()) -> ok.
limit(Limits) ->
    try gen_server:call(?MODULE, {limit, Limits}, ?LIMIT_TIMEOUT_MS)
    catch exit:{Reason, _} when Reason =/= timeout -> ok
    end.

%% @private
-spec init([]) -> {ok, #state{}}.
init([]) ->
    {ok, #state{intake = ref_router_intake:create(ref_router_runtime:limits(), self())}}.

%% @private
-spec handle_call(wait | {limit, ref_router_intake:limits()}, gen_server:from(), #state{}) ->
    {reply, term(), #state{}} | {noreply, #state{}}.
handle_call(wait, {Pid, _Tag} = From, #state{intake = Intake, waiters = Waiters} = State) ->
    %% Watched before it is counted; for a waiter that is dead already the signal comes at once.
    Monitor = monitor(process, Pid),
    case ref_router_intake:join(Intake) of
        queued ->
            {noreply, State#state{waiters = queue:in({Monitor, From}, Waiters)}};
        in_flight ->
            true = demonitor(Monitor, [flush]),
            {reply, {ok, ref_router_intake:lease(Intake)}, State};
        overloaded ->
            true = demonitor(Monitor, [flush]),
            {reply, {rejected, overloaded}, State}
    end;
handle_call({limit, Limits}, _From, #state{intake = Intake} = State) ->
    {reply, ok, promote(State#state{intake = ref_router_intake:limit(Intake, Limits)})}.

%% @private
-spec handle_cast(slot, #state{}) -> {noreply, #state{}}.
handle_cast(slot, State) ->
    {noreply, grant(State)}.

%% @private
-spec handle_info({'DOWN', reference(), process, pid(), term()}, #state{}) -> {noreply, #state{}}.
handle_info({'DOWN', Monitor, process, _Pid, _Reason},
            #state{intake = Intake, waiters = Waiters} = State) ->
    ok = ref_router_intake:cancel(Intake),
    {noreply, State#state{waiters = queue:delete_with(fun({M, _}) -> M =:= Monitor end, Waiters)}}.

promote(#state{intake = Intake} = State) ->
    case ref_router_intake:promote(Intake) of
        true -> promote(grant(State));
        false -> State
    end.

grant(#state{intake = Intake, waiters = Waiters} = State) ->
    case queue:out(Waiters) of
        {{value, {Monitor, From}}, Rest} ->
            true = demonitor(Monitor, [flush]),
            ok = gen_server:reply(From, {ok, ref_router_intake:lease(Intake)}),
            State#state{waiters = Rest};
        {empty, _} ->
            ok = ref_router_intake:give_back(Intake),
            State
    end.
