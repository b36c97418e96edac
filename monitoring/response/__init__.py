"""What is done about findings: declared, limited, told in full."""
