%% @doc Where something is measured: in a fresh BEAM, or in a node that runs already.
%% @private
-module(router_bench_place).

-export([during/2, run/3, run/4, evaluate/4, start/4, beam/3, far/2, running/1, router/1, name/1, call/5, call/6, caller/2,
         caller/3, stop/1, interrupt/2, os_pid/1, git/1]).

%% The kernel gives up connecting after 7 s.
-define(STEP_MS, 30000).

-export_type([place/0]).

-opaque place() :: {fresh, router_bench_peer:peer(), none | router_bench_cluster:router()} | {attached, node()}.

%% @doc Does some work of a plan; to nodes that run already, the router's and those of drivers, the bench is
%% attached meanwhile.
-spec during(router_bench_plan:plan(), fun(() -> Result)) ->
          Result | {error, router_bench_attached:problem()}.
during(Plan, Work) -> during(attached_to(Plan), Plan, Work).

during([], Plan, Work) ->
    case router_bench_attached:of_one_release(attached_to(Plan), Plan) of
        ok -> Work();
        {error, Reason} -> {error, Reason}
    end;
during([Node | Rest], Plan, Work) ->
    router_bench_attached:during(Plan#{node := Node}, fun() -> during(Rest, Plan, Work) end).

%% Drivers of a router that runs already may do so too.
attached_to(#{node := []}) -> [];
attached_to(#{node := Routers, nodes := Drivers}) -> Routers ++ [Node || Node <- Drivers, Node =/= local].

%% @doc Calls `Module:run(Plan)' in a place of its own until a deadline of
%% `erlang:monotonic_time(millisecond)'.
-spec run(module(), router_bench_plan:plan(), DeadlineMs :: integer()) ->
          {ok, term()} | {error, Reason :: term()}.
run(Module, Plan, DeadlineMs) ->
    run(Module, Plan, own, DeadlineMs).

%% @doc The same with this VM's own code or with that of a frozen build; the place makes sure of it.
-spec run(module(), router_bench_plan:plan(), router_bench_frozen:code(),
          DeadlineMs :: integer()) ->
          {ok, term()} | {error, Reason :: term()}.
run(Module, Plan, Code, DeadlineMs) ->
    ok = router_bench_glance:tell(#{phase => Module}),
    evaluate(Plan, Code, {Module, run, [router_bench_plan:sent(Plan)]}, DeadlineMs).

%% @doc Makes a place as a plan says, calls a function in it, and leaves it.
-spec evaluate(router_bench_plan:plan(), router_bench_frozen:code(), {module(), atom(), [term()]},
               DeadlineMs :: integer()) -> term() | {error, Reason :: term()}.
evaluate(Plan, Code, {Module, Function, Arguments}, DeadlineMs) ->
    case start(Plan, Code, 1, DeadlineMs) of
        {ok, Place} ->
            try call(Place, Module, Function, Arguments, DeadlineMs)
            after stop(Place)
            end;
        {error, Reason} ->
            {error, Reason}
    end.

%% @doc Makes a place for router number `Number' of a side: boots a BEAM with the plan's flags and this VM's own
%% code or that of a frozen build, linked to the caller, which is a node where drivers will come; or takes the
%% node of that number that the bench is attached to.
-spec start(router_bench_plan:plan(), router_bench_frozen:code(), Number :: pos_integer(),
            DeadlineMs :: integer()) -> {ok, place()} | {error, Reason :: term()}.
start(#{node := [], cluster := none} = Plan, Code, 1, DeadlineMs) ->
    beam(Plan, Code, DeadlineMs);
start(#{node := [], cluster := Cluster, instance := Instance} = Plan, Code, Number, DeadlineMs) ->
    case beam(Plan, Code, DeadlineMs) of
        {ok, {fresh, Peer, none} = Place} ->
            case router_bench_cluster:router(Cluster, {Instance, Number}, caller(Place, DeadlineMs)) of
                {ok, Router} ->
                    {ok, {fresh, Peer, Router}};
                {error, Reason} ->
                    ok = stop(Place),
                    {error, Reason}
            end;
        {error, Reason} ->
            {error, Reason}
    end;
start(#{node := Nodes}, own, Number, _DeadlineMs) ->
    {ok, {attached, lists:nth(Number, Nodes)}}.

%% @doc Boots a BEAM that is no router's.
-spec beam(router_bench_plan:plan(), router_bench_frozen:code(), DeadlineMs :: integer()) ->
          {ok, place()} | {error, Reason :: term()}.
beam(Plan, Code, DeadlineMs) ->
    case router_bench_peer:start(Plan, Code, DeadlineMs) of
        {ok, Peer} -> {ok, {fresh, Peer, none}};
        {error, Reason} -> {error, Reason}
    end.

%% @doc Boots a BEAM on another machine, which has no code but OTP's.
-spec far(router_bench_plan:plan(), router_bench_far:way()) -> {ok, place()} | {error, Reason :: term()}.
far(Plan, Way) ->
    case router_bench_peer:far(Plan, Way) of
        {ok, Peer} -> {ok, {fresh, Peer, none}};
        {error, Reason} -> {error, Reason}
    end.

%% @doc A node that the bench is attached to.
-spec running(node()) -> place().
running(Node) -> {attached, Node}.

%% @doc The node that a router's BEAM is.
-spec router(place()) -> router_bench_cluster:router().
router({fresh, _Peer, #{} = Router}) -> Router;
router({attached, Node}) -> #{node => Node}.

%% @doc Which node it is, if somebody else gave it its name.
-spec name(place()) -> none | node().
name({fresh, _Peer, _Router}) -> none;
name({attached, Node}) -> Node.

%% @doc Calls a function there until a deadline of `erlang:monotonic_time(millisecond)'.
-spec call(place(), module(), atom(), [term()], DeadlineMs :: integer()) -> term().
call({fresh, Peer, _}, Module, Function, Arguments, DeadlineMs) ->
    router_bench_peer:call(Peer, Module, Function, Arguments, DeadlineMs);
call({attached, Node}, Module, Function, Arguments, DeadlineMs) ->
    router_bench_attached:call(Node, Module, Function, Arguments, DeadlineMs).

%% @doc The same with a limit of the call's own, beyond which whoever is there stands still.
-spec call(place(), module(), atom(), [term()], LimitMs :: pos_integer(), DeadlineMs :: integer()) ->
          term() | {error, {no_answer_in, LimitMs :: pos_integer()}}.
call(Place, Module, Function, Arguments, LimitMs, DeadlineMs) ->
    EndMs = erlang:monotonic_time(millisecond) + LimitMs,
    case call(Place, Module, Function, Arguments, min(EndMs, DeadlineMs)) of
        {error, timeout} when EndMs < DeadlineMs -> {error, {no_answer_in, LimitMs}};
        Answer -> Answer
    end.

%% @doc The same as a function of what is called, for steps of a BEAM that becomes a node and meets others.
-spec caller(place(), DeadlineMs :: integer()) -> router_bench_cluster:call().
caller(Place, DeadlineMs) -> caller(Place, ?STEP_MS, DeadlineMs).

%% @doc The same for steps that take as long as they say.
-spec caller(place(), LimitMs :: pos_integer(), DeadlineMs :: integer()) -> router_bench_cluster:call().
caller(Place, LimitMs, DeadlineMs) ->
    fun(Module, Function, Arguments) -> call(Place, Module, Function, Arguments, LimitMs, DeadlineMs) end.

%% @doc Leaves it: a BEAM ends, and in a node nothing of the bench runs any more.
-spec stop(place()) -> ok.
stop({fresh, Peer, _}) -> router_bench_peer:stop(Peer);
stop({attached, Node}) -> router_bench_attached:clear(Node).

%% @doc Ends what a process waits for, wherever its plan has it: its call answers an error.
-spec interrupt(pid(), #{node := [node()], _ => _}) -> ok.
interrupt(Owner, Plan) ->
    ok = router_bench_peer:interrupt(Owner),
    lists:foreach(fun router_bench_attached:clear/1, attached_to(Plan)).

%% @doc The operating system process of a fresh BEAM.
-spec os_pid(place()) -> string().
os_pid({fresh, Peer, _}) -> router_bench_peer:os_pid(Peer).

%% @doc What git says of what a plan measures.
-spec git(router_bench_plan:plan()) -> router_bench_env:git().
git(#{node := Nodes} = Plan) ->
    lists:foldl(fun router_bench_attached:with_difference/2,
                router_bench_env:git(router_bench_plan:repository(Plan)), Nodes).
