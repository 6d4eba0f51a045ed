%% @doc Who may talk to whom in a run whose distribution is encrypted: an authority of the run's own, which
%% nobody else can use, and of it a certificate for each node.
%%
%% The authority's key stays with the conductor. A driver's certificate makes it a client and no server, and a
%% router's says at what address it is.
%% @private
-module(router_bench_certificates).

-include_lib("public_key/include/public_key.hrl").

-export([authority/0, options/2]).

-export_type([authority/0]).

%% A certificate and its key. `public_key' of OTP 25 takes back what it gives, and its own types do not say so.
-type authority() :: term().

-define(KEY, {key, {namedCurve, ?secp256r1}}).
-define(DIGEST, {digest, sha256}).
-define(VERSIONS, ['tlsv1.3', 'tlsv1.2']).

%% @doc A new one. It lasts for a week.
-spec authority() -> authority().
authority() ->
    public_key:pkix_test_root_cert("router_bench", [?KEY, ?DIGEST]).

%% @doc What `-ssl_dist_optfile' says for a new node, with its key: both ends show a certificate of the
%% authority and verify the other's.
-spec options(authority(), driver | {router, inet:ip4_address()}) -> binary().
options(Authority, Node) ->
    Own = public_key:pkix_test_data(#{root => Authority, intermediates => [],
                                      peer => [?KEY, ?DIGEST, {extensions, extensions(Node)}]}),
    Shared = Own ++ [{verify, verify_peer}, {versions, ?VERSIONS}],
    unicode:characters_to_binary(io_lib:format("~w.~n", [[{server, [{fail_if_no_peer_cert, true} | Shared]},
                                                          {client, Shared}]])).

extensions(driver) ->
    [used_as([?'id-kp-clientAuth'])];
extensions({router, Address}) ->
    [used_as([?'id-kp-clientAuth', ?'id-kp-serverAuth']),
     #'Extension'{extnID = ?'id-ce-subjectAltName', critical = false,
                  extnValue = [{iPAddress, list_to_binary(tuple_to_list(Address))},
                               % As releases before OTP 26 look for it.
                               {dNSName, inet:ntoa(Address)}]}].

used_as(Purposes) ->
    #'Extension'{extnID = ?'id-ce-extKeyUsage', critical = true, extnValue = Purposes}.
