"""What a family needs on AWS, as CloudFormation templates: one shared part, and one for each endpoint, in one account or three.

``site`` names everything, ``permissions`` says who may do what and why, and ``template`` puts the parts together; the
other files each make a few resources. ``stack`` compares and deploys.
"""
