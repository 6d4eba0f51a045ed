%% @doc How messages and decisions of the reference router travel over a bus.
%%
%% What comes from a bus is nobody's word: decoding makes no atom, and what is no message or decision is
%% `damaged'. A payload stays bytes; the serving side never makes a term of it.
%% @private
-module(ref_router_wire).

-export([encode_message/1, decode_message/1, encode_outcome/1, decode_outcome/1]).

-define(VERSION, 1).

%% @doc The bytes of a message; its payload in Erlang's external term format.
-spec encode_message(ref_router:message()) -> binary().
encode_message(#{tenant := Tenant} = Message) ->
    Session = maps:get(session, Message, <<>>),
    Payload = term_to_binary(maps:get(payload, Message, undefined)),
    <<?VERSION, (byte_size(Tenant)):16, Tenant/binary, (byte_size(Session)):16, Session/binary,
      Payload/binary>>.

%% @doc A message, whose payload is the bytes that were sent.
-spec decode_message(binary()) -> {ok, ref_router:message()} | {error, damaged}.
decode_message(<<?VERSION, Length:16, Tenant:Length/binary, 0:16, Payload/binary>>) ->
    {ok, #{tenant => Tenant, payload => Payload}};
decode_message(<<?VERSION, Length:16, Tenant:Length/binary, Size:16, Session:Size/binary,
                 Payload/binary>>) ->
    {ok, #{tenant => Tenant, session => Session, payload => Payload}};
decode_message(_Other) ->
    {error, damaged}.

%% @doc The bytes of what the router decided.
-spec encode_outcome(ref_router:outcome() | {error, damaged | exception}) -> binary().
encode_outcome(Outcome) ->
    <<?VERSION, (term_to_binary(Outcome))/binary>>.

%% @doc What the router decided.
-spec decode_outcome(binary()) -> ref_router:outcome() | {error, damaged | exception}.
decode_outcome(<<?VERSION, Term/binary>>) ->
    try binary_to_term(Term, [safe]) of
        {ok, #{provider := _, policy := _, reason := _, attempts := _}} = Outcome -> Outcome;
        {rejected, Reason} = Outcome when is_atom(Reason) -> Outcome;
        {error, _Reason} = Outcome -> Outcome;
        _Other -> {error, damaged}
    catch
        error:badarg -> {error, damaged}
    end;
decode_outcome(_Other) ->
    {error, damaged}.
