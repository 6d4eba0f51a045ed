%% @doc What became of the requests of a phase, and why those failed that did.
%%
%% Requests sent are counted apart from their outcomes, and successes by the recorder that timed
%% them, so that `offered = ok + error + timeout + rejected + skipped' can fail, and is checked.
%%
%% Reasons are kept by kind, with the first of each as a sample: the atom that a reason is or begins
%% with, or the class and kind of an exception. Kinds and samples are bounded in number and length.
%% @private
-module(router_bench_outcome).

-export([new/0, sent/1, route/3, of_answer/1, of_exception/3, code/1, count/2, note/2, stray/4, counts/1,
         reasons/1, forget_reasons/1, unanswered/4, abandoned/2, accounting/4]).

-export_type([tally/0, counts/0, accounting/0, outcome/0, reason/0]).

-opaque tally() :: {counters:counters_ref(), ets:table()}.
-type outcome() :: ok | {error | timeout | rejected, kind(), {term(), Stack :: [term()]}}.
-type kind() :: atom() | {Class :: atom(), atom()}.
-type counts() :: #{sent := non_neg_integer(), error := non_neg_integer(),
                    timeout := non_neg_integer(), rejected := non_neg_integer(),
                    atom() => non_neg_integer()}.
-type accounting() :: #{offered := non_neg_integer(), ok := non_neg_integer(),
                        error := non_neg_integer(), timeout := non_neg_integer(),
                        rejected := non_neg_integer(), skipped := non_neg_integer()}.
%% As `cp1_format' has it.
-type reason() :: #{outcome := error | timeout | rejected, reason := binary(),
                    count := pos_integer(), sample := binary()}.

-define(SENT, 1).
-define(ERROR, 2).
-define(TIMEOUT, 3).
-define(REJECTED, 4).
-define(STRAYS, 5).

%% Kinds beyond are counted as `other'.
-define(KINDS_MAX, 32).
-define(SAMPLE_CHARACTERS_MAX, 300).

%% @doc Nothing counted yet. Written by all workers at once, hence write concurrency. Belongs to the
%% caller.
-spec new() -> tally().
new() ->
    {counters:new(5, [write_concurrency]), ets:new(?MODULE, [public])}.

%% @doc Counts a request that is about to be routed.
-spec sent(tally()) -> ok.
sent({Counters, _}) ->
    counters:add(Counters, ?SENT, 1).

%% @doc Routes a request. An exception of the router is an error of the router; an answer that is
%% none of the contract's ends the worker, since the adapter is wrong.
-spec route(module(), router_bench_adapter:request(), router_bench_adapter:state()) -> outcome().
route(Adapter, Request, State) ->
    try Adapter:route(Request, State) of
        ok -> ok;
        {ok, _} -> ok;
        {error, timeout} -> {timeout, timeout, {timeout, []}};
        {error, Reason} -> {error, kind(Reason), {Reason, []}};
        {rejected, Reason} -> {rejected, kind(Reason), {Reason, []}};
        Other -> exit({bad_return, {Adapter, route, 2}, Other})
    catch
        exit:{bad_return, {Adapter, route, 2}, _} = Reason -> exit(Reason);
        Class:Reason:Stack -> of_exception(Class, Reason, Stack)
    end.

%% @doc The outcome that an exception is.
-spec of_exception(atom(), Reason :: term(), Stack :: [term()]) -> outcome().
of_exception(exit, {timeout, _} = Reason, Stack) -> {timeout, {exit, timeout}, {Reason, Stack}};
of_exception(Class, Reason, Stack) -> {error, {Class, kind(Reason)}, {Reason, Stack}}.

%% @doc The outcome that an answer is which nobody promised to be one of the contract's.
-spec of_answer(term()) -> outcome().
of_answer(ok) -> ok;
of_answer({ok, _}) -> ok;
of_answer({error, timeout}) -> of_answer(timeout);
of_answer(timeout) -> {timeout, timeout, {timeout, []}};
of_answer({error, Reason}) -> {error, kind(Reason), {Reason, []}};
of_answer({rejected, Reason}) -> {rejected, kind(Reason), {Reason, []}};
of_answer(rejected) -> {rejected, rejected, {rejected, []}};
of_answer(Other) -> {error, kind(Other), {Other, []}}.

%% No atom is made: a reason without one is `other'.
kind(Reason) when is_atom(Reason) -> Reason;
kind(Reason) when is_tuple(Reason), tuple_size(Reason) > 0 -> kind(element(1, Reason));
kind(_Reason) -> other.

%% @doc The number that the native half knows an outcome by.
-spec code(outcome()) -> 0..3.
code(ok) -> 0;
code({error, _, _}) -> 1;
code({timeout, _, _}) -> 2;
code({rejected, _, _}) -> 3.

%% @doc Counts an outcome other than success, and keeps its reason.
-spec count(tally(), outcome()) -> ok.
count({Counters, _} = Tally, {Kind, _, _} = Outcome) ->
    counters:add(Counters, place(Kind), 1),
    note(Tally, Outcome).

place(error) -> ?ERROR;
place(timeout) -> ?TIMEOUT;
place(rejected) -> ?REJECTED.

%% @doc Keeps the reason of an outcome that the native half counts.
-spec note(tally(), outcome()) -> ok.
note(_Tally, ok) ->
    ok;
note({_, Table}, {Outcome, Kind, Sample}) ->
    try
        _ = ets:update_counter(Table, {Outcome, Kind}, 1),
        ok
    catch
        error:badarg -> new_kind(Table, Outcome, Kind, Sample)
    end.

new_kind(Table, Outcome, Kind, Sample) ->
    Key = case ets:info(Table, size) < ?KINDS_MAX of
              true -> {Outcome, Kind};
              false -> {Outcome, other}
          end,
    _ = ets:update_counter(Table, Key, 1, {Key, 0, sample(Sample)}),
    ok.

sample({Reason, Stack}) ->
    Where = case Stack of
                [{Module, Function, Arity, _} | _] when is_integer(Arity) ->
                    io_lib:format(" in ~s:~s/~b", [Module, Function, Arity]);
                [{Module, Function, Arguments, _} | _] ->
                    io_lib:format(" in ~s:~s/~b", [Module, Function, length(Arguments)]);
                _ ->
                    ""
            end,
    router_bench_text:line([io_lib:format("~0tP", [Reason, 20]), Where], ?SAMPLE_CHARACTERS_MAX).

%% @doc A message that reached a worker between two requests: the adapter's, or one that nobody expected,
%% which is counted.
-spec stray(tally(), module(), router_bench_adapter:state(), Message :: term()) -> ok.
stray({Counters, _}, Adapter, State, Message) ->
    case erlang:function_exported(Adapter, handle_info, 2)
             andalso Adapter:handle_info(Message, State) of
        handled -> ok;
        _ -> counters:add(Counters, ?STRAYS, 1)
    end.

%% @doc How many requests were sent and not answered once `Killed' workers are gone, beside those that
%% were `Abandoned' before. A worker was inside one request or, while it built the next, inside none: so
%% they are no more than workers, and what is beyond that is lost, which {@link accounting/4} finds.
-spec unanswered(tally(), Ok :: non_neg_integer(), Abandoned :: non_neg_integer(),
                 Killed :: non_neg_integer()) -> non_neg_integer().
unanswered(Tally, Ok, Abandoned, Killed) ->
    #{sent := Sent, error := Error, timeout := Timeout, rejected := Rejected} = counts(Tally),
    min(Killed, max(0, Sent - (Ok + Error + Timeout + Rejected + Abandoned))).

%% @doc Keeps the reason of requests that were never answered, whose workers had to be killed; `Stack'
%% is where one of them was.
-spec abandoned(tally(), {Requests :: non_neg_integer(), Stack :: [term()]}) -> ok.
abandoned(_Tally, {0, _Stack}) ->
    ok;
abandoned({_, Table}, {Requests, Stack}) ->
    Key = {timeout, never_answered},
    _ = ets:update_counter(Table, Key, Requests, {Key, 0, sample({never_answered, Stack})}),
    ok.

%% @doc Balances the books of a phase. `Abandoned' requests were inside workers that had to be killed;
%% they count as timeouts.
-spec accounting(counts(), Ok :: non_neg_integer(), Skipped :: non_neg_integer(),
                 Abandoned :: non_neg_integer()) ->
          {ok, accounting()} | {error, {requests_lost, integer(), accounting()}}.
accounting(#{sent := Sent, error := Error, timeout := Timeout, rejected := Rejected},
           Ok, Skipped, Abandoned) ->
    Accounting = #{offered => Sent + Skipped, ok => Ok, error => Error,
                   timeout => Timeout + Abandoned, rejected => Rejected, skipped => Skipped},
    case Sent - (Ok + Error + Timeout + Rejected + Abandoned) of
        0 -> {ok, Accounting};
        Lost -> {error, {requests_lost, Lost, Accounting}}
    end.

%% @doc What was counted so far.
-spec counts(tally()) -> counts().
counts({Counters, _}) ->
    #{sent => counters:get(Counters, ?SENT), error => counters:get(Counters, ?ERROR),
      timeout => counters:get(Counters, ?TIMEOUT), rejected => counters:get(Counters, ?REJECTED),
      strays => counters:get(Counters, ?STRAYS)}.

%% @doc Why requests failed so far, the most frequent reason first.
-spec reasons(tally()) -> [reason()].
reasons({_, Table}) ->
    Rows = [{-Count, Outcome, name(Kind), Sample}
            || {{Outcome, Kind}, Count, Sample} <- ets:tab2list(Table)],
    [#{outcome => Outcome, reason => Name, count => -Negative, sample => Sample}
     || {Negative, Outcome, Name, Sample} <- lists:sort(Rows)].

%% @doc From now on reasons are kept anew.
-spec forget_reasons(tally()) -> ok.
forget_reasons({_, Table}) ->
    true = ets:delete_all_objects(Table),
    ok.

name({Class, Kind}) -> router_bench_text:line([atom_to_list(Class), $:, atom_to_list(Kind)], 200);
name(Kind) -> router_bench_text:line(atom_to_list(Kind), 200).
