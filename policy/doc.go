// Package policy is the judgement of a relay's receive side: whose mail comes
// in, for whom, and what is written on it, between the SMTP engine
// (smtpserver) and the queue.
//
//	gate := &policy.Gate{
//		// Who may be written to by everybody,
//		Domains: []policy.Domain{{Name: "example.com", Directory: policy.Recipients("alice", "bob")}},
//		// and who may write to everybody.
//		Networks:      []netip.Prefix{netip.MustParsePrefix("10.1.0.0/16")},
//		Authenticated: true,
//		Queue:         q, // a *queue.Queue
//	}
//	srv := &smtpserver.Server{Hostname: "relay.example.com", TLSConfig: cert, Auth: users}
//	err := gate.Install(srv) // names every setting that is wrong
//
// Each concern is one type whose Agent method yields an smtpserver.Agent, to
// be used alone or in a chain of one's own; [Gate] puts them in the usual
// order. What judges contents and proves origins is in the packages below this
// one (spf, dkim, dmarc, milter, content, ...); the Gate has slots for them.
//
// # Closed by default
//
// Whatever is left out refuses. A zero Relay relays for nobody; a setting that
// would relay for the world is an error of Validate and Gate.Install, and opens
// nothing, unless DangerouslyRelayForEveryone stands beside it; and Enqueuer takes only recipients that a relay policy has
// admitted, so a server that was given the Enqueuer but not the agents refuses
// all mail, and an agent that ends the judging with smtpserver.ErrAccept opens
// nothing. An agent that wants to accept by its own authority says so with
// [Admit]. Package policytest tries a server out with the tricks by which open
// relays are found.
//
// # Who may do what
//
// [Relay] gives each session its rights, which are Exchange's ([Submit],
// [AcceptAnyRecipient], ...): by [Grant]s to [Clients], who are told by
// network, identity, client certificate or confirmed host name. [RightsOf]
// tells any agent what a session may. Agents that judge strangers leave
// sessions with [BypassAntiSpam] alone; [Unless] makes any agent do so.
//
// # Accepted domains
//
// A [Domain] is authoritative (its Directory knows all recipients, others are
// refused with 550 5.1.1 at RCPT, so that no bounce is ever due), an internal
// relay (those the Directory does not know live on another system), or an
// external relay (all of them do). Names match exactly or as "*.domain", the
// longest match wins. For <postmaster> without a domain there is a default
// domain.
//
// A domain may be shared with another system in several ways: the recipients
// there are known (Domain.Elsewhere); or they are not, and all who are not
// found here go to it (an internal relay with Domain.Unresolved, or as the
// routing table says); or the domain is the other system's, which passes on to
// this one what it does not know. Domain.CatchAll gives unknown recipients a
// mailbox. [Domains.Hook] has the queue's own reports go the same ways.
//
// A [Directory] is a fixed list ([Recipients]), a file ([FileDirectory]), a
// function ([DirectoryFunc]), an LDAP server (policy/ldap, a module of its
// own), or made of others: [CachedDirectory], [Subaddresses], [AnyOf]. When it
// cannot answer, mail is put off with 451; it is never refused for that.
//
// # Who is listened to
//
// [ConnectionFilter] knows block and allow lists of networks and host names,
// and those in the DNS; [OriginIP] looks behind the organisation's own relays,
// so that they are not blamed for what they pass on. [Rates] bounds what one
// identity, address, network or sender may send. [Reputation] refuses clients
// for a while that behave like spammers, and has a [ProxyProbe] find out, where
// it is given one, whether they are open proxies. [Greylist] lets strangers come
// again, and [Tarpit] makes trying slow.
//
// # Senders and recipients
//
// [SenderFilter] and [RecipientFilter] refuse those on a list. [Spoofing]
// refuses mail from outside under one's own name, [SendAs] holds users to
// theirs, [SenderDomain] wants senders that could be answered.
//
// # Overload
//
// [Pressure] slows down and then refuses mail from outside while disk, memory
// or queue run short, and in the end all mail.
//
// # DNS
//
// Agents that ask the DNS take a [Resolver]; *net.Resolver is one. What the
// DNS cannot answer is neither a yes nor a no: wherever the answer would make
// a difference the client is asked to come again (451 4.4.3). All waiting is
// bounded.
//
// # On the way to the queue
//
// [Loop] ends loops through this host early, [Trace] writes the Received
// field, and [Enqueuer] gives what was accepted to the queue, and 250 to the
// client when it is safe there.
//
// # Mail that is held
//
// [HeldMail] lets clients ask, by ETRN and ATRN, for mail that a routing.Router
// holds for them.
package policy
