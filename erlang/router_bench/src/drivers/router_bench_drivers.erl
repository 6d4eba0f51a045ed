%% @doc The BEAMs that drive a load, from the side of the conductor: they are started once for a block and
%% serve all its sides in turn.
%%
%% What is asked of all is asked at once, and answered by each within the same limit. One that is lost, or
%% answers an error, is named; nothing goes on without it, since its share would be missing.
%% @private
-module(router_bench_drivers).

-export([during/3, connect/4, introduce/3, all/5, clocks/2, rates/2, text/1]).

-export_type([driver/0, drivers/0, rate/0, readings/0]).

-type driver() :: #{share := router_bench_share:share(), place := router_bench_plan:driver(),
                    at := router_bench_place:place(), node := node()}.
-type drivers() :: [driver()].
%% Parts per million by which a clock is faster than the conductor's, and how far that may be off.
-type rate() :: {Ppm :: float(), UncertaintyPpm :: float()}.
-type readings() :: [{TheirNs :: router_bench_nif:ns(), BeforeNs :: integer(), AfterNs :: integer()}].

%% Of several readings the one with the least time between counts.
-define(CLOCK_READINGS, 8).
%% To say what time it is.
-define(READING_MS, 1000).

%% @doc Does some work with the drivers of a plan, of which there may be none.
-spec during(router_bench_plan:plan(), DeadlineMs :: integer(), fun((drivers()) -> Result)) ->
          Result | {error, term()}.
during(#{nodes := Places} = Plan, DeadlineMs, Work) ->
    Shares = case Places of
                 [] -> [];
                 _ -> router_bench_share:all(length(Places))
             end,
    during(lists:zip(Shares, Places), Plan, DeadlineMs, Work, []).

during([], _Plan, _DeadlineMs, Work, Started) ->
    Work(lists:reverse(Started));
during([{Share, Place} | Rest], Plan, DeadlineMs, Work, Started) ->
    case started(Share, Place, Plan, DeadlineMs) of
        {ok, #{at := At} = Driver} ->
            try during(Rest, Plan, DeadlineMs, Work, [Driver | Started])
            after router_bench_place:stop(At)
            end;
        {error, Reason} ->
            {error, lost(Share, Place, Reason)}
    end.

started(Share, Node, #{cluster := {running, _}}, _DeadlineMs) when is_atom(Node), Node =/= local ->
    {ok, #{share => Share, place => Node, at => router_bench_place:running(Node), node => Node}};
started({Number, _} = Share, Place, #{cluster := Cluster} = Plan, DeadlineMs) ->
    case beam(Place, Plan, DeadlineMs) of
        {ok, At} ->
            case router_bench_cluster:driver(Cluster, Number + 1, router_bench_place:caller(At, DeadlineMs)) of
                {ok, Node} ->
                    {ok, #{share => Share, place => Place, at => At, node => Node}};
                {error, Reason} ->
                    ok = router_bench_place:stop(At),
                    {error, Reason}
            end;
        {error, Reason} ->
            {error, Reason}
    end.

beam(local, Plan, DeadlineMs) -> router_bench_place:beam(Plan, own, DeadlineMs);
beam({_Module, _Argument} = Place, Plan, DeadlineMs) -> router_bench_far:beam(Plan, Place, DeadlineMs).

lost({Number, Of}, Place, Reason) ->
    {driver, Number + 1, Of, Place, Reason}.

%% @doc Where a driver is, in words.
-spec text(router_bench_plan:driver()) -> binary().
text(local) -> <<"local">>;
text(Node) when is_atom(Node) -> atom_to_binary(Node);
text({Module, Argument}) -> <<(atom_to_binary(Module))/binary, $:, Argument/binary>>.

%% @doc Has each know the routers' nodes, and be connected to them.
-spec introduce(drivers(), [router_bench_cluster:router()], DeadlineMs :: integer()) -> ok | {error, term()}.
introduce([], _Routers, _DeadlineMs) ->
    ok;
introduce([#{share := Share, place := Place, at := At, node := Node} | Rest], Routers, DeadlineMs) ->
    case router_bench_cluster:introduce(Routers, Node, router_bench_place:caller(At, DeadlineMs)) of
        ok -> introduce(Rest, Routers, DeadlineMs);
        {error, Reason} -> {error, lost(Share, Place, Reason)}
    end.

%% @doc Connects them to the routers that a plan has reached.
-spec connect(drivers(), router_bench_plan:plan(), LimitMs :: pos_integer(), DeadlineMs :: integer()) ->
          ok | {error, term()}.
connect(Drivers, Plan, LimitMs, DeadlineMs) ->
    case asked([{Driver, start, [Plan#{share := Share}]} || #{share := Share} = Driver <- Drivers],
               LimitMs, DeadlineMs) of
        {ok, _} -> ok;
        {error, Reason} -> {error, Reason}
    end.

%% @doc Calls a function of {@link router_bench_driver} in all of them at once; the answers in order.
-spec all(drivers(), atom(), [term()], LimitMs :: pos_integer(), DeadlineMs :: integer()) ->
          {ok, [{driver(), term()}]} | {error, term()}.
all(Drivers, Function, Arguments, LimitMs, DeadlineMs) ->
    asked([{Driver, Function, Arguments} || Driver <- Drivers], LimitMs, DeadlineMs).

asked(Calls, LimitMs, DeadlineMs) ->
    Self = self(),
    Asked = [spawn_monitor(fun() ->
                 Answer = router_bench_place:call(At, router_bench_driver, Function, Arguments, LimitMs, DeadlineMs),
                 Self ! {self(), Answer}
             end) || {#{at := At}, Function, Arguments} <- Calls],
    Answers = [receive
                   {Pid, Answer} -> demonitor(Monitor, [flush]), Answer;
                   {'DOWN', Monitor, process, Pid, Reason} -> {error, Reason}
               end || {Pid, Monitor} <- Asked],
    kept([{Driver, Answer} || {{Driver, _, _}, Answer} <- lists:zip(Calls, Answers)], []).

kept([], Kept) ->
    {ok, lists:reverse(Kept)};
kept([{Driver, ok} | Rest], Kept) ->
    kept(Rest, [{Driver, ok} | Kept]);
kept([{Driver, {ok, Answer}} | Rest], Kept) ->
    kept(Rest, [{Driver, Answer} | Kept]);
kept([{#{share := Share, place := Place}, {error, Reason}} | _], _Kept) ->
    {error, lost(Share, Place, Reason)}.

%% @doc Reads the clocks of all, one after the other, between two readings of one's own.
-spec clocks(drivers(), DeadlineMs :: integer()) -> readings().
clocks(Drivers, DeadlineMs) ->
    [element(2, lists:min([reading(At, DeadlineMs) || _ <- lists:seq(1, ?CLOCK_READINGS)])) || #{at := At} <- Drivers].

reading(At, DeadlineMs) ->
    BeforeNs = router_bench_nif:now(),
    Answer = router_bench_place:call(At, router_bench_nif, now, [], ?READING_MS, DeadlineMs),
    AfterNs = router_bench_nif:now(),
    case Answer of
        TheirNs when is_integer(TheirNs) -> {AfterNs - BeforeNs, {TheirNs, BeforeNs, AfterNs}};
        {error, _} -> {infinity, {0, BeforeNs, AfterNs}} % whatever else is asked of it says so
    end.

%% @doc How much faster than the conductor's each clock runs. Rates are compared, never times.
-spec rates(readings(), readings()) -> [rate()].
rates(First, Last) ->
    [rate(One, Other) || {One, Other} <- lists:zip(First, Last)].

rate({TheirNs, BeforeNs, AfterNs}, {TheirLaterNs, BeforeLaterNs, AfterLaterNs}) ->
    OwnNs = max(1, (BeforeLaterNs + AfterLaterNs - BeforeNs - AfterNs) div 2),
    UncertainNs = (AfterNs - BeforeNs + AfterLaterNs - BeforeLaterNs) / 2,
    {(TheirLaterNs - TheirNs - OwnNs) * 1.0e6 / OwnNs, UncertainNs * 1.0e6 / OwnNs}.
