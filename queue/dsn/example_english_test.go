package dsn_test

import (
	"fmt"

	"github.com/bridgehead-mail/bridgehead/queue/dsn"
)

// Change one of the default texts.
func ExampleEnglish() {
	texts := dsn.English()
	texts.Closing = "Questions? Call the help desk of %s."
	r := &dsn.Report{Texts: texts}
	fmt.Println(r.Texts.Closing)
	fmt.Println(dsn.English().Closing)
	// Output:
	// Questions? Call the help desk of %s.
	// This report was written by the mail system at %s.
}
