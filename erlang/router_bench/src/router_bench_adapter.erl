%% @doc The contract between the benchmark and a router: one module that knows both.
%%
%% The benchmark calls `init/1' once in a fresh BEAM, hands the state to every worker (it is copied:
%% keep it small), and calls `request/2' and `route/2' from many processes at once. A request is
%% built before its time starts, so that building it is not measured.
-module(router_bench_adapter).

-export_type([options/0, state/0, request/0, result/0, counters/0, transport/0, outage/0]).

%% `adapter_options' of the run (those that come from a file or a variable have binaries as keys), with the
%% keys that requests may be drawn from (see
%% {@link router_bench_keys:key/2}), and `fault' where one was planted. In a replay two routers are
%% alive on one machine, of variants up to eight, each in a BEAM of its own: `instance' is 1 in one, 2 in
%% the other and so on, by which a router that needs a port or a name of its own chooses another. `attached'
%% is there where the router runs already, in a node that others use: then nothing is started, and who cannot
%% be measured so answers an error.
-type options() :: #{keys => router_bench_keys:keys(), fault => router_bench_fault:fault(),
                     instance => pos_integer(), attached => true,
                     drivers => pos_integer(), routers => [node(), ...], atom() | binary() => term()}.
-type state() :: term().
-type request() :: term().
%% `error': the router failed at the request. `rejected': it refused the request to protect itself.
-type result() :: ok | {ok, term()} | {error, term()} | {rejected, term()}.
%% Counters of the router itself, since it started. One that the router does not have is left out:
%% then the metric is not measured, and the gate does not pass. `backpressure_active', whether
%% backpressure is active now, is optional: of it the report has how long it was.
-type counters() :: #{errors_total => non_neg_integer(),
                      backpressure_active_total => non_neg_integer(),
                      backpressure_active => boolean() | 0 | 1}.
%% What carries a request to the router and its answer back: its name (`<<"nats">>'), its server with its
%% version (`<<"nats-server 2.9.10">>'), and of TLS the version and the cipher suite that were negotiated.
-type transport() :: #{name := binary(), server => binary(), tls_version => binary(),
                       tls_cipher => binary()}.

%% What ends an outage, or that there is none here.
-type outage() :: {ended_by, fun(() -> term())} | not_offered.

%% Starts the router.
-callback init(options()) -> {ok, state()} | {error, Reason :: term()}.
%% Builds request `N' (from 0).
-callback request(N :: non_neg_integer(), state()) -> request().
%% Routes one request and answers when it is done.
-callback route(request(), state()) -> result().
%% Reads the router's counters. Called many times a second while the load runs.
-callback counters(state()) -> counters().
%% Stops the router. In a node that ran already only where that was asked for.
-callback terminate(state()) -> term().

%% A message that reached the calling worker between two requests, such as credit that a request before
%% used up; during one, `route/2' itself receives. What is `unexpected', or comes where there is no such
%% callback, is counted and thrown away.
-callback handle_info(Message :: term(), state()) -> handled | unexpected.

%% Takes back what `init/1' made in a node that ran already. Called there in place of `terminate/1', also
%% when whoever measures has gone.
-callback detach(state()) -> term().

%% Registered names that must live as long as a block; the end of one ends the block.
-callback processes(state()) -> [atom()].
%% Faults that this adapter can plant; none without this callback.
-callback faults() -> [router_bench_fault:name()].

%% Whether several of these routers can be alive on one machine. Where they cannot, a replay measures one
%% side after the other, and needs more blocks to decide. Without this callback they can.
-callback lives_twice() -> boolean().

%% Makes the router itself meet one error, or activate backpressure once, so that `counters/1' must
%% show it: a counter that does not move is dead, and its 0 would mean nothing. `not_offered' where the
%% adapter cannot do it for this counter; the report says so.
-callback control(errors_total | backpressure_active_total, state()) -> not_offered | term().

%% Begins an outage: the router, or what stands before it, is gone for whoever asks. What is answered ends it,
%% and is called in the same process; where that dies before, the outage must end with it. Only where a run asks
%% for one, after all else of a block; what {@link processes/1} names must live on. `not_offered' where this
%% router, as it was started, has none: then nothing was begun.
-callback outage(state()) -> outage().

%% What the requests go through, asked once after `init/1'. Reports of different transports are never
%% compared. Without this callback, or with the name `<<"local">>' alone, the router is called inside its
%% BEAM.
-callback transport(state()) -> transport().

%% Reaches routers that were started in other nodes, from a driver's: `request/2' and `route/2' get its state.
%% Where drivers will come, `init/1' has their number as `drivers' in its options, and as `routers' the nodes
%% of all routers, its own among them, which are connected.
-callback connect(Routers :: [node(), ...], options()) -> {ok, state()} | {error, Reason :: term()}.

%% What a driver's own connection counted, such as requests that a bus lost or had no room for: read before and
%% after what is measured, and added to what routers count.
-callback connection_counters(state()) -> counters().

%% Takes back what `connect/2' made.
-callback disconnect(state()) -> term().

-optional_callbacks([connect/2, connection_counters/1, disconnect/1, handle_info/2, processes/1, faults/0,
                     control/2, lives_twice/0, transport/1, detach/1, outage/1]).

