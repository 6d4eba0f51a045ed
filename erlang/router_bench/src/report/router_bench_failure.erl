%% @doc Why a run failed, as a sentence. Pure.
%% @private
-module(router_bench_failure).

-export([sentence/1]).

-define(LENGTH_MAX, 1000).

%% @doc A reason in words, on one line, of bounded length.
-spec sentence(term()) -> binary().
sentence(Reason) ->
    router_bench_text:line(words(Reason), ?LENGTH_MAX).

words({control, Reason}) -> ["while the router's counters were tried: ", words(Reason)];
words({control, Side, Reason}) ->
    ["while the router's counters were tried, ", side(Side), ": ", words(Reason)];
words({block, N, Reason}) -> [io_lib:format("block ~b: ", [N]), words(Reason)];
words({block, N, Side, Reason}) ->
    [io_lib:format("block ~b, ", [N]), side(Side), ": ", words(Reason)];
words({explain, Side, Reason}) -> ["while ", side(Side), " was traced: ", words(Reason)];
words({unanswered, LimitMs, Stack}) ->
    [io_lib:format("requests were not answered in ~b s", [LimitMs div 1000]), through(Stack)];
words(nothing_to_compare) -> "there is no frozen build to compare with";
words({calibration, Reason}) -> ["while the load was calibrated: ", words(Reason)];
words({load, Side, Reason}) -> ["under load for a profiler, ", side(Side), ": ", words(Reason)];
words({no_return, Callback, LimitMs}) ->
    [callback(Callback), io_lib:format(" did not return in ~b s", [LimitMs div 1000])];
words({bad_return, Callback, Answer}) ->
    [callback(Callback), " answered ", term(Answer), ", which its contract does not know"];
words({adapter_failed, Callback, {error, Reason}}) ->
    [callback(Callback), " answered an error: ", term(Reason)];
words({adapter_failed, Callback, {Class, Reason, Stack}}) ->
    [callback(Callback), " raised ", atom_to_list(Class), $:, term(Reason), at(Stack)];
words({worker_died, {bad_return, _, _} = Reason}) -> words(Reason);
words({worker_died, {Reason, [_ | _] = Stack}}) ->
    ["a worker of the load died of ", term(Reason), at(Stack)];
words({worker_died, Reason}) -> ["a worker of the load died of ", term(Reason)];
words({router_died, Name, Reason}) ->
    ["the router's process ", term(Name), " died of ", term(Reason)];
words({block_died, {sampler_died, _} = Reason}) -> words(Reason);
words({block_died, Reason}) -> ["the process that measures died of ", term(Reason)];
words({dead_counter, Callback, Counter}) ->
    [callback(Callback), io_lib:format(" did not count the ~s that control/2 provoked: its 0 would "
                                       "mean nothing", [Counter])];
words({requests_lost, Lost, _}) ->
    io_lib:format("~b requests were lost or counted twice", [Lost]);
words({sampler_died, {no_answer, LimitMs, Stack}}) ->
    [io_lib:format("the sampler did not answer in ~b s", [LimitMs div 1000]), through(Stack)];
words({sampler_died, Reason}) -> ["the sampler ended: ", term(Reason)];
words({peer_died, normal}) ->
    ["the measured BEAM (a peer of the bench) ended all at once: something in it halted it, or it was "
     "killed. ", killed()];
words({peer_died, Reason}) -> ["the measured BEAM (a peer of the bench) died: ", term(Reason)];
words({peer_died, Class, Reason}) ->
    ["the measured BEAM (a peer of the bench) died: ", term({Class, Reason})];
words({peer_not_started, _Flags, {boot_failed, {exit_status, 137}}}) ->
    ["a BEAM (peer) was killed by signal 9 as it started. ", killed()];
words({peer_not_started, [], Reason}) -> ["no BEAM (peer) could be started: ", term(Reason)];
words({peer_not_started, Flags, Reason}) ->
    ["no BEAM (peer) could be started with erl_args ", lists:join($ , Flags), ": ", term(Reason)];
words({not_frozen, Module, From}) ->
    ["module ", term(Module), " of the frozen build came from ", term(From)];
words({no_answer, What}) -> ["no answer from the ", term(What)];
words({latency_too_long, Rate, NeededMs, RunMs, LimitMs}) ->
    io_lib:format("a p99 takes 20,000 requests, which at ~b arrivals/s is ~b s of open loop a block; "
                  "such a run takes ~b s, and ~b s are left: set PERF_TIMEOUT_SECONDS=~b, or "
                  "PERF_BLOCKS to fewer blocks",
                  [Rate, seconds(NeededMs), seconds(RunMs), seconds(LimitMs),
                   2 * seconds(RunMs)]);
words(other_transport) ->
    "transport/1 of the adapter names another transport, version of TLS or cipher than before: what was "
    "measured cannot be compared";
words(no_request_succeeded) -> "no request succeeded";
words(stopped) -> "it was stopped";
words(timeout) -> "the time limit was reached (PERF_TIMEOUT_SECONDS)";
words(Reason) -> term(Reason).

%% What sends SIGKILL to what nobody asked to go.
killed() ->
    "Usually the kernel kills, where memory runs out: dmesg and the control group's memory.events say so".

seconds(Ms) -> (max(0, Ms) + 999) div 1000.

side(frozen) -> "the frozen build";
side(candidate) -> "the candidate".

callback({Module, Function, Arity}) -> io_lib:format("~s/~b of ~s", [Function, Arity, Module]).

at([{Module, Function, Arity, _} | _]) when is_integer(Arity) ->
    io_lib:format(" in ~s:~s/~b", [Module, Function, Arity]);
at([{Module, Function, Arguments, _} | _]) when is_list(Arguments) ->
    io_lib:format(" in ~s:~s/~b", [Module, Function, length(Arguments)]);
at(_Stack) ->
    "".

%% The innermost call first.
through([]) ->
    "";
through(Stack) ->
    [", in ", lists:join(", called by ", [io_lib:format("~s:~s/~b", [Module, Function, arity(Called)])
                                          || {Module, Function, Called, _} <- Stack])].

arity(Arity) when is_integer(Arity) -> Arity;
arity(Arguments) -> length(Arguments).

term(Term) -> io_lib:format("~0tP", [Term, 30]).
