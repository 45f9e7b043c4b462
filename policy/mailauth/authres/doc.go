// Package authres records the results of SPF, DKIM, DMARC and ARC in the
// Authentication-Results field of a message (RFC 8601). It also removes forged
// fields: fields that have the authserv-id of this server but were not written
// by it.
//
// Add the Agent of a [Stamper] after the agents of packages spf, dkim, dmarc
// and arc:
//
//	stamper := &authres.Stamper{ID: "mx.example.com"}
//	srv.Agents = append(srv.Agents, spf.Agent(), dkim.Agent(), dmarc.Agent(), stamper.Agent())
//
// The agent writes one field from their verdicts:
//
//	Authentication-Results: mx.example.com;
//		spf=pass smtp.mailfrom=example.org;
//		dkim=pass header.d=example.org header.s=s1 header.a=rsa-sha256 header.b=k1LzRxs9;
//		dmarc=pass (p=reject) header.from=example.org
//
// Other agents add their results with [Add]. [Format] and [Parse] write and
// read the field without a session.
//
// # Forged fields
//
// Mail programs trust fields that have the authserv-id of the receiving server.
// The agent therefore removes each incoming field with that id (RFC 8601, 5),
// and each field whose id cannot be read. With Stamper.RemoveAll it removes all
// incoming fields. Ids are compared as domain names, so an id in another script
// or letter case is recognized too. Stamper.Trust selects sessions whose fields
// are kept, for example those of your own hosts that have already checked the
// message.
package authres
