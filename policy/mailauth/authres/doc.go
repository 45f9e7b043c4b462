// Package authres writes what the checks of a message's origin have found
// into its Authentication-Results field (RFC 8601), once, and takes those
// fields away that claim to be ours and are not.
//
// A [Stamper]'s Agent belongs behind those of packages spf, dkim, dmarc and
// arc:
//
//	stamper := &authres.Stamper{ID: "mx.example.com"}
//	srv.Agents = append(srv.Agents, spf.Agent(), dkim.Agent(), dmarc.Agent(), stamper.Agent())
//
// and makes of their verdicts
//
//	Authentication-Results: mx.example.com;
//		spf=pass smtp.mailfrom=example.org;
//		dkim=pass header.d=example.org header.s=s1 header.a=rsa-sha256 header.b=k1LzRxs9;
//		dmarc=pass (p=reject) header.from=example.org
//
// Other agents have a say by [Add]. [Format] and [Parse] write and read such
// fields without a session.
//
// # Forged fields
//
// Whoever reads these fields later trusts those with our authserv-id. So a
// field that comes in with that id is removed (RFC 8601, 5), and so is one
// whose id cannot be read; with RemoveAll all of them are. Ids are compared as
// domains, so that no other alphabet hides ours. Sessions of one's own hosts,
// whose fields are true, are named by Trust.
package authres
