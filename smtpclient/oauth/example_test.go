package oauth_test

import (
	"fmt"
	"log"

	"github.com/bridgehead-mail/bridgehead/smtpclient"
	"github.com/bridgehead-mail/bridgehead/smtpclient/oauth"
)

// A relay logs in to Exchange Online as an application.
func ExampleMicrosoft() {
	app := oauth.Microsoft{
		Tenant:   "example.com",
		ClientID: "11111111-2222-3333-4444-555555555555",
		Secret:   "from a file: see ReadSecret",
	}
	source, err := app.Source()
	if err != nil {
		log.Fatal(err)
	}
	transport := &smtpclient.Transport{Auth: &oauth.Auth{Username: "relay@example.com", Source: source}}
	defer transport.Close()
	fmt.Println(transport.Auth.Identity(), "as", source)
	fmt.Printf("%+v\n", app.Secret)
	// Output:
	// relay@example.com as Microsoft application 11111111-2222-3333-4444-555555555555
	// (secret)
}
