%% @doc The same requests again: a number of workers, each with as many requests, one at a time.
%%
%% Between two requests a worker calls nothing that could be taken for the router's: what needs a call is done
%% before, or is the bench's own.
%% @private
-module(router_bench_pass).

-export([run/4, open/3, route/3, close/1]).

-export_type([context/0, passed/0]).

%% With a tally, outcomes other than success are counted there.
-type context() :: #{plan := router_bench_plan:plan(), adapter := module(),
                     state := router_bench_adapter:state(), tally => router_bench_outcome:tally()}.
%% All calls of `route/2' together, and the time from the release of the workers to their end.
-type passed() :: #{routing_us := non_neg_integer(), wall_us := non_neg_integer()}.

%% @doc Routes so many requests of each worker. `Begin' is given the workers once all are ready, and before any
%% begins; what it gives is called when all have done, and says what else came of the pass. Requests are built
%% before, or each just before it is routed, as under load.
-spec run(context(), Requests :: pos_integer(), ahead | alongside,
          Begin :: fun(([pid()]) -> fun(() -> Found))) ->
          {ok, passed(), Found} | {error, Reason :: term()}.
run(#{plan := Plan} = Context, Requests, Built, Begin) ->
    case open(Context, Requests, Built) of
        {ok, {Crew, Pids}} ->
            try
                End = Begin(Pids),
                case route(Crew, Requests, Plan) of
                    {ok, Passed} -> {ok, Passed, End()};
                    {error, Reason} -> {error, Reason}
                end
            after close(Crew)
            end;
        {error, Reason} ->
            {error, Reason}
    end.

%% @doc Starts the workers, which are ready then; and says which processes they are.
-spec open(context(), Requests :: pos_integer(), ahead | alongside) ->
          {ok, {router_bench_crew:crew(), [pid()]}} | {error, Reason :: term()}.
open(#{plan := #{concurrency := Workers} = Plan} = Context, Requests, Built) ->
    Owner = self(),
    Crew = router_bench_crew:start(Workers, fun(Number) ->
        Next = next(Built, Number, Requests, Context),
        true = garbage_collect(),
        Owner ! {ready, self(), self()},
        work(Context, Next, Owner)
    end),
    case awaited(Crew, ready, Plan) of
        {ok, Pids} ->
            {ok, {Crew, Pids}};
        {error, Reason} ->
            ok = close(Crew),
            {error, Reason}
    end.

%% @doc Lets each worker route so many of its requests, and waits for all.
-spec route(router_bench_crew:crew(), Requests :: pos_integer(), router_bench_plan:plan()) ->
          {ok, passed()} | {error, Reason :: term()}.
route(Crew, Requests, Plan) ->
    StartNs = router_bench_nif:now(),
    ok = router_bench_crew:tell(Crew, {route, Requests}),
    case awaited(Crew, done, Plan) of
        {ok, Ns} -> {ok, #{routing_us => lists:sum(Ns) div 1000,
                           wall_us => (router_bench_nif:now() - StartNs) div 1000}};
        {error, Reason} -> {error, Reason}
    end.

%% @doc Ends the workers.
-spec close(router_bench_crew:crew()) -> ok.
close(Crew) ->
    router_bench_crew:disband(Crew).

%% A pass must end in the time that any other callback has.
awaited(Crew, Tag, #{callback_timeout_ms := LimitMs}) ->
    case router_bench_crew:await(Crew, Tag, LimitMs) of
        {ok, Values, []} -> {ok, Values};
        {ok, _Values, [Stack | _]} -> {error, {unanswered, LimitMs, Stack}};
        {error, Reason} -> {error, Reason}
    end.

%% In a worker

%% The numbers of the requests are those of every pass.
next(alongside, Number, _Requests, #{plan := #{concurrency := Step}}) ->
    {Number, Step};
next(ahead, Number, Requests, #{plan := #{concurrency := Step}, adapter := Adapter, state := State}) ->
    [Adapter:request(Number + N * Step, State) || N <- lists:seq(0, Requests - 1)].

%% An answer that comes too late is dropped here.
work(Context, Next, Owner) ->
    receive
        {route, Requests} ->
            {Ns, Rest} = requests(Requests, Next, Context, 0),
            Owner ! {done, self(), Ns},
            work(Context, Rest, Owner);
        _ ->
            work(Context, Next, Owner)
    end.

requests(0, Next, _Context, Ns) ->
    {Ns, Next};
requests(Left, [Request | Rest], Context, Ns) ->
    requests(Left - 1, Rest, Context, Ns + request(Request, Context));
requests(Left, {Number, Step}, #{adapter := Adapter, state := State} = Context, Ns) ->
    Request = Adapter:request(Number, State),
    requests(Left - 1, {Number + Step, Step}, Context, Ns + request(Request, Context)).

request(Request, #{adapter := Adapter, state := State} = Context) ->
    StartNs = router_bench_nif:now(),
    Outcome = router_bench_outcome:route(Adapter, Request, State),
    Ns = router_bench_nif:now() - StartNs,
    ok = note(Outcome, Context),
    Ns.

note(ok, _Context) -> ok;
note(Outcome, #{tally := Tally}) -> router_bench_outcome:count(Tally, Outcome);
note(_Outcome, _Context) -> ok.
