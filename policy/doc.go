// Package policy contains the receive policies of a relay. They decide which
// mail the SMTP server (smtpserver) accepts, from which clients and for which
// recipients, before the message is added to the queue.
//
//	gate := &policy.Gate{
//		// Every client may send to the recipients of these domains.
//		Domains: []policy.Domain{{Name: "example.com", Directory: policy.Recipients("alice", "bob")}},
//		// These clients may send to all domains.
//		Networks:      []netip.Prefix{netip.MustParsePrefix("10.1.0.0/16")},
//		Authenticated: true,
//		Queue:         q, // a *queue.Queue
//	}
//	srv := &smtpserver.Server{Hostname: "relay.example.com", TLSConfig: cert, Auth: users}
//	err := gate.Install(srv) // the error names every wrong setting
//
// Each policy is one type. Its Agent method returns an smtpserver.Agent, which
// can be used alone or together with other agents. [Gate] puts the policies in
// the usual order. The packages below this one check contents and authenticate
// senders (SPF, DKIM, DMARC, milters, content filters). The Gate has fields for
// them.
//
// # Closed by default
//
// A policy that is not configured refuses mail. The zero Relay relays for no
// client. If a setting would make an open relay, Relay.Validate and
// Gate.Install return an error, and the setting has no effect.
// DangerouslyRelayForEveryone allows such settings.
//
// [Enqueuer] accepts only recipients that a relay policy has admitted. So a
// server that has the Enqueuer but no relay policy refuses all mail. An agent
// that returns smtpserver.ErrAccept does not make an open relay, because the
// recipient is still not admitted. An agent must call [Admit] if it accepts
// recipients that no relay policy has admitted. Package policytest tests that a
// server is not an open relay.
//
// # Rights
//
// [Relay] gives each session its rights. The rights ([Submit],
// [AcceptAnyRecipient], ...) have the names that Exchange uses. A [Grant] gives
// rights to [Clients], which are selected by network, identity, client
// certificate or confirmed host name. [RightsOf] returns the rights of a
// session. Spam filters skip sessions that have the right [BypassAntiSpam].
// With [Unless], other agents skip the sessions that have a given right.
//
// # Accepted domains
//
// A [Domain] is of one of three kinds:
//
//   - Authoritative: its Directory lists all recipients. The server refuses
//     others with 550 5.1.1 at RCPT, so that the queue need not report a
//     failure.
//   - Internal relay: recipients that the Directory does not list are on another
//     system.
//   - External relay: all recipients are on another system.
//
// The name of a Domain is exact, or a pattern "*.domain". If several match, the
// longest applies. <postmaster> without a domain belongs to the default domain.
//
// A domain may be shared with another mail system in several ways:
//
//   - The recipients of the other system are known: use Domain.SharedWith.
//   - They are not known: use an internal relay. Mail for unknown recipients
//     goes to Domain.Unresolved, or to the next hop that the routing table has
//     for the domain.
//   - The other system receives the mail of the domain. If it does not know a
//     recipient, it sends the mail to this relay.
//
// Domain.CatchAll is a mailbox for unknown recipients. With [Domains.Hook], the
// same routing applies to the reports that the queue makes.
//
// A [Directory] can be a fixed list ([Recipients]), a file ([FileDirectory]), a
// function ([DirectoryFunc]), or an LDAP server (policy/ldap, a separate
// module). [CachedDirectory], [Subaddresses] and [AnyOf] use other directories.
// If a directory cannot answer, the server defers the recipient with 451. It
// does not refuse the recipient permanently.
//
// # Clients
//
// [ConnectionFilter] applies block lists and allow lists of networks, host
// names and DNS lists. [OriginIP] finds the address of the client behind the
// organization's own relays, so that the filter does not block those relays.
// [Rates] limits what one identity, address, network or sender may send.
// [Reputation] blocks clients for a limited time if they behave like spammers.
// If it has a [ProxyProbe], it also tests whether they are open proxies.
// [Greylist] defers the first attempt of unknown clients. [Tarpit] delays
// refusals.
//
// # Delivery status notifications
//
// The server announces DSN (RFC 3461) to clients with the right
// [AcceptAnyRecipient], and where it offers AUTH. It refuses the parameters of
// other clients with 555 5.5.4. (A relay that sends mail to this server reports
// a requested success itself, because this server does not offer DSN.) A client
// that is still unknown when it sends MAIL gets no report of a success, because
// the sender that it gives may be forged. With Gate.DSNForEveryone, the server
// offers DSN to all clients.
//
// # Senders and recipients
//
// [SenderFilter] and [RecipientFilter] refuse listed addresses and domains.
// [Spoofing] refuses mail from outside if its sender is in the organization's
// domains. [SendAs] restricts users to their own senders. [SenderDomain]
// refuses a sender if no mail can be sent to its domain. [ClientName] checks the
// reverse-DNS name and the HELO name of the client.
//
// # Aliases and groups
//
// [Aliases] replaces aliases, contacts and groups by the addresses that they stand
// for, from a file ([AliasFile]) or from LDAP (ldap.Aliases). Groups can contain
// groups, and can have an owner who gets the reports.
//
// # Overload
//
// [Pressure] delays mail from outside if the server has too little disk space
// or memory, or too many messages in the queue. If the problem continues, it
// refuses mail from outside. At the highest level it refuses all mail.
//
// # DNS
//
// Agents that use the DNS have a [Resolver]: a routing.DNSResolver, which caches
// answers, or a [NetResolver] for a net.Resolver. If an agent needs an answer and
// the DNS fails temporarily, the client gets a 4xx reply (451 4.4.3) and can try
// again. All lookups have a time limit.
//
// # Before the queue
//
// [Loop] detects mail loops through this host. [Trace] adds the Received field.
// [Enqueuer] submits the message to the queue; the client gets 250 after the
// queue has the message on stable storage.
//
// # Held mail
//
// [HeldMail] lets clients request mail that a routing.Router holds for them,
// with ETRN, ATRN and the obsolete TURN.
package policy
