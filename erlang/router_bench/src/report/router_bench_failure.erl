%% @doc Why a run failed, as a sentence. Pure.
%% @private
-module(router_bench_failure).

-export([sentence/1, side/1]).

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
    [callback(Callback), io_lib:format(" did not return in ~b s", [seconds(LimitMs)])];
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
words({not_attached, Node, Reason}) ->
    [io_lib:format("the bench cannot be attached to ~ts: ", [Node]), why_not(Node, Reason)];
words({cut, Node, _Reason}) ->
    [io_lib:format("the connection to ~ts was cut, or it ended", [Node])];
words({node_failed, Node, Reason}) -> [io_lib:format("in ~ts: ", [Node]), term(Reason)];
words({driver, Number, Of, Place, Reason}) ->
    [io_lib:format("driver ~b of ~b (~ts), whose share of the load would be missing: ",
                   [Number, Of, router_bench_drivers:text(Place)]), of_driver(Place, Reason)];
words({no_way, Module, Reason}) ->
    [io_lib:format("~s did not say how to start a BEAM there: ", [Module]), term(Reason)];
words({other_erlang, system_architecture, Theirs, Ours}) ->
    io_lib:format("it has Erlang/OTP for ~s, and here is one for ~s: drive from a machine of the same kind",
                  [Theirs, Ours]);
words({other_erlang, otp_release, Theirs, Ours}) ->
    io_lib:format("it has Erlang/OTP ~s, and here is ~s: install the same release there", [Theirs, Ours]);
words(native_library_not_loaded) ->
    ["it cannot load the native library, which is for ", erlang:system_info(system_architecture), ": build that on the "
     "older of both machines, and see that /tmp there is not mounted noexec"];
words({not_sent, Reason}) -> ["it did not take the bench's code: ", term(Reason)];
words({router, Number, none, Reason}) -> [io_lib:format("router ~b: ", [Number]), words(Reason)];
words({router, Number, Node, Reason}) -> [io_lib:format("router ~b (~ts): ", [Number, Node]), words(Reason)];
words({not_connected, Node}) ->
    [io_lib:format("distributed Erlang does not reach ~ts", [Node])];
words({no_node, Name, Reason}) ->
    [io_lib:format("the BEAM could not become the node ~ts: ", [Name]), words(Reason)];
words(detached) -> "the bench is no longer attached to the node";
words({no_answer, What}) -> ["no answer from the ", term(What)];
words({no_answer_in, LimitMs}) -> io_lib:format("it stands still, or is cut off: no answer in ~b s", [seconds(LimitMs)]);
words({latency_too_long, Rate, NeededMs, RunMs, LimitMs}) ->
    io_lib:format("a p99 takes 20,000 requests, which at ~b arrivals/s is ~b s of open loop a block; "
                  "such a run takes ~b s, and ~b s are left: set PERF_TIMEOUT_SECONDS=~b, or "
                  "PERF_BLOCKS to fewer blocks",
                  [Rate, seconds(NeededMs), seconds(RunMs), seconds(LimitMs),
                   2 * seconds(RunMs)]);
words(other_transport) ->
    "transport/1 of the adapter names another transport, version of TLS or cipher than before: what was "
    "measured cannot be compared";
words(no_telemetry) -> "there is no telemetry in this node, so it has no spans";
words({telemetry, Reason}) -> ["telemetry did not take the handler: ", term(Reason)];
words(handler_detached) ->
    "the handler was detached from its spans by somebody else, so requests are missing";
words({keeper_died, Reason}) -> ["the process that holds the adapter died of ", term(Reason)];
words({recording_failed, Class, Reason, Stack}) ->
    ["a recording of a request failed, and nothing of it reached the router: ", atom_to_list(Class), $:,
     term(Reason), at(Stack)];
words(no_request_succeeded) -> "no request succeeded";
words(stopped) -> "it was stopped";
words(timeout) -> "the time limit was reached (PERF_TIMEOUT_SECONDS)";
words(Reason) -> term(Reason).

%% What became of a driver's BEAM, by where it was and who reached it.
of_driver(local, {peer_died, normal}) ->
    ["its BEAM ended all at once: something in it halted it, or it was killed. ", killed()];
of_driver({ssh, _}, {peer_died, normal}) ->
    "its BEAM there ended or was killed, or the connection broke, of which ssh has said why";
of_driver({Module, _}, {peer_died, normal}) ->
    ["its BEAM ended or was killed, or the program did that reaches it, which ", callback({Module, start, 1}),
     " names"];
of_driver(_Place, {peer_died, Reason}) -> ["its BEAM died: ", term(Reason)];
of_driver(_Place, {peer_died, Class, Reason}) -> ["its BEAM died: ", term({Class, Reason})];
of_driver({ssh, _}, {peer_not_started, _Flags, {boot_failed, {exit_status, 255}}}) ->
    "no BEAM could be started there: ssh did not get in, and has said why; it must work without a question "
    "(ssh -o BatchMode=yes DESTINATION erl -version)";
of_driver({ssh, _}, {peer_not_started, _Flags, {boot_failed, {exit_status, 127}}}) ->
    "no BEAM could be started there: there is no erl on the path";
of_driver({Module, _}, {peer_not_started, _Flags, {boot_failed, {exit_status, Status}}}) when Module =/= ssh ->
    ["no BEAM could be started there: the program that ", callback({Module, start, 1}), " names ended with ",
     integer_to_list(Status)];
of_driver(_Place, Reason) -> words(Reason).

why_not(_Node, {cookie_file, File, open_to_others}) ->
    ["others may read or write the cookie file ", File, ": chmod 600 ", File];
why_not(_Node, {cookie_file, File, Reason}) ->
    ["the cookie file ", File, " cannot be used (", file_error(Reason), "): name that of the node"];
why_not(_Node, {distribution, Reason}) ->
    ["this VM could not become a node: ", term(Reason)];
why_not(_Node, {no_epmd, Host, Port}) ->
    io_lib:format("no epmd answers at ~ts, port ~b: start the node, or set ERL_EPMD_PORT to its epmd's",
                  [Host, Port]);
why_not(_Node, {not_registered, Name, Port}) ->
    io_lib:format("the epmd at port ~b knows no ~ts: start the node, or set ERL_EPMD_PORT to its epmd's",
                  [Port, Name]);
why_not(_Node, {refused, Cookie}) ->
    ["it refused the connection: its cookie is another than ", cookie(Cookie), ", its name is long where "
     "this one is short, or it takes TLS only (--attach-tls-file)"];
why_not(_Node, already_attached) ->
    "somebody else is attached to it: wait for the end of that run";
why_not(_Node, {other_build, Module}) ->
    ["it has another build of module ", term(Module), ", which is not replaced: take that out of the node, "
     "or measure with the build that it has"];
why_not(_Node, {still_runs, Module}) ->
    ["a process there still runs code of ", term(Module), ", which an earlier run left: end that process, or "
     "wait for it"];
why_not(_Node, {not_loaded, Module, Reason, OtpRelease}) ->
    io_lib:format("it runs Erlang/OTP ~s and cannot load ~s (~0tp), which was compiled for ~s: compile the "
                  "bench with the node's Erlang/OTP, and run it with that",
                  [OtpRelease, Module, Reason, erlang:system_info(otp_release)]);
why_not(_Node, {other_release, Its, local, Ours}) ->
    io_lib:format("it runs Erlang/OTP ~s, and `local' drivers would run this VM's ~s: run the bench with ~s",
                  [Its, Ours, Its]);
why_not(_Node, {other_release, Its, Other, Theirs}) ->
    io_lib:format("it runs Erlang/OTP ~s, and ~ts runs ~s: a report is of one release; measure once all nodes that it "
                  "names have that", [Its, Other, Theirs]);
why_not(_Node, {no_library, Dir, Reason}) ->
    ["it has no place for the native library (", file_error(Reason), "), which is in ", Dir, " there while it is "
     "loaded: see that its user may write there and that nobody else has that"];
why_not(_Node, native_library_not_loaded) ->
    [words(native_library_not_loaded), "; or call router_bench:attach/1 in the node itself"];
why_not(_Node, no_answer) -> "the guardian there does not answer";
why_not(_Node, {died, Reason}) -> ["it answered ", term(Reason)].

cookie(own) -> "this VM's";
cookie(File) -> ["that in ", File].

file_error(empty) -> "it is empty";
file_error(too_long) -> "it is too long";
file_error(Reason) -> file:format_error(Reason).

%% What sends SIGKILL to what nobody asked to go.
killed() ->
    "Usually the kernel kills, where memory runs out: dmesg and the control group's memory.events say so".

seconds(Ms) -> (max(0, Ms) + 999) div 1000.

%% @doc What a side of a run is called.
-spec side(router_bench_block:role()) -> unicode:chardata().
side(frozen) -> "the frozen build";
side(candidate) -> "the candidate";
side({variant, Option, Value}) -> io_lib:format("~ts = ~ts", [Option, router_bench_text:value(Value)]).

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
